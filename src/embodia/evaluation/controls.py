"""The four controls: the same episodes with one thing taken away, so that a success rate says what it comes from.

blank_image     the policy with a grey picture in place of every camera, no depth and no points; the rest stays
other_sentence  the policy told to do another task that can be done in the same scene
blind_replay    the actions of a training episode of the same task, open loop: no eyes, no policy
random_policy   actions drawn uniformly between the bounds of the contract

Watch out: a task that blind replay solves says nothing about eyes, and one without a second task in its scene says
nothing about language; both are written into the notes of a report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from embodia.core.errors import ConfigError, DataError
from embodia.core.names import unknown
from embodia.core.protocols import Carry, Policy, Rng
from embodia.core.specs import ActionSpec, Contract
from embodia.core.types import ActionChunk, Array, Observation
from embodia.envs.perturb.images import Change

BLANK_IMAGE = "blank_image"
OTHER_SENTENCE = "other_sentence"
BLIND_REPLAY = "blind_replay"
RANDOM_POLICY = "random_policy"
CONTROLS = (BLANK_IMAGE, OTHER_SENTENCE, BLIND_REPLAY, RANDOM_POLICY)
_HELD = ("joint_position", "ee_position", "ee_rotation", "gripper", "hand_joint_position")


class Episodes(Protocol):
    """What a control needs of a data set: its rows (index, task, seed, success) and the actions of one."""

    contract: Contract
    episodes: Sequence[Any]

    def actions(self, episode: int) -> Array:
        """(N A) of the episode with that index."""
        ...


class Seeing:
    """A policy behind a change of its observations."""

    def __init__(self, policy: Policy, change: Change) -> None:
        self._policy, self._change = policy, change
        self.contract = policy.contract

    def act(self, observation: Observation, carry: Carry, rng: Rng) -> tuple[ActionChunk, Carry]:
        """What the policy does when it sees the changed observation."""
        return self._policy.act(self._change(observation), carry, rng)


class RandomPolicy:
    """Actions drawn uniformly between the bounds of the contract, `chunk` at a time; `rng` is a numpy generator."""

    def __init__(self, contract: Contract, chunk: int) -> None:
        self.contract = replace(contract, action=replace(contract.action, chunk=chunk))
        low = [bound for part in contract.action.parts for bound in [part.low] * part.dim]
        high = [bound for part in contract.action.parts for bound in [part.high] * part.dim]
        self._low, self._high = np.array(low), np.array(high)

    def act(self, observation: Observation, carry: Carry, rng: Rng) -> tuple[ActionChunk, Carry]:
        """A chunk (B H A) of noise."""
        shape = (observation.batch_size, self.contract.action.chunk, len(self._low))
        return _whole(rng.uniform(self._low, self._high, shape), self.contract.action), None


class BlindReplay:
    """The actions of training episodes, open loop: for each new episode one of `demonstrations` is drawn by `rng`.

    `sentences` maps every sentence that may be told to the tasks it may mean. Where a demonstration has ended, rates of
    change are zero and everything else stays as it was. Raises `UnknownNameError` for a task without demonstrations.
    """

    def __init__(self, data: Sequence[Episodes], sentences: Mapping[str, tuple[str, ...]], chunk: int) -> None:
        if not data:
            raise ConfigError("blind replay needs the training data", leaf="controls")
        self.contract = replace(data[0].contract, action=replace(data[0].contract.action, chunk=chunk))
        self._data = data
        self._found = {sentence: _of_tasks(data, tasks) for sentence, tasks in sentences.items()}

    def act(self, observation: Observation, carry: Carry, rng: Rng) -> tuple[ActionChunk, Carry]:
        """The next actions (B H A) of the demonstrations in `carry`, drawn now when there are none yet."""
        if observation.time_s is None:
            raise DataError("blind replay needs to know the time since the start", leaf="time_s")
        chosen = carry or [self._draw(sentence, rng) for sentence in observation.instruction]
        rate, length = self.contract.action.rate_hz, self.contract.action.chunk
        starts = np.rint(np.asarray(observation.time_s)[:, -1] * rate).astype(int)
        taken = [self._from(which, int(start), length) for which, start in zip(chosen, starts, strict=True)]
        return _whole(np.stack(taken), self.contract.action), chosen

    def _draw(self, sentence: str, rng: Rng) -> tuple[int, int]:
        found = self._found[sentence]
        return found[int(rng.integers(len(found)))]

    def _from(self, which: tuple[int, int], start: int, length: int) -> Array:
        source, episode = which
        actions = np.asarray(self._data[source].actions(episode))
        rest = np.repeat(_rest(actions[-1], self.contract.action)[None], length, axis=0)
        part = actions[start : start + length]
        rest[: len(part)] = part
        return rest


def demonstrations(data: Sequence[Episodes], task: str) -> list[tuple[int, int]]:
    """(data set, episode) of every successful training episode of a task, in the first data set that has some.

    Later sets often begin elsewhere, as where an expert took over: replayed from a start they would make a floor low.
    """
    for i, source in enumerate(data):
        found = [(i, row.index) for row in source.episodes if row.task == task and row.success]
        if found:
            return found
    return []


def _of_tasks(data: Sequence[Episodes], tasks: Sequence[str]) -> list[tuple[int, int]]:
    found = [item for task in tasks for item in demonstrations(data, task)]
    if not found:
        known = {row.task for source in data for row in source.episodes}
        raise unknown("task of the training data", tasks[0], known)
    return found


def _rest(last: Array, spec: ActionSpec) -> Array:
    """The action that holds still after `last`."""
    keep = [part.representation in _HELD for part in spec.parts for _ in range(part.dim)]
    return np.where(keep, last, 0.0)


def _whole(actions: Array, spec: ActionSpec) -> ActionChunk:
    return ActionChunk(actions=actions.astype(np.float32), valid=np.ones(actions.shape[:2], dtype=bool), spec=spec)
