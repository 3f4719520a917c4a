"""Policies and data of Dots whose honesty is known, so that the audit itself can be measured.

`Looker` is honest: it finds the colour that the sentence names and goes there, with slips, blur and missed frames as
weak policies have them. `Peeker` reads a simulator that it finds in its own process. The others of `planted` wrap a
`Looker`.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from embodia.core.protocols import Carry, Rng
from embodia.core.specs import Contract
from embodia.core.types import ActionChunk, Array, Observation
from embodia.envs.adapters import dots
from embodia.envs.protocol import EnvConfig

CHUNK = 4


def dots_config(*leaks: str, size: int = 32) -> EnvConfig:
    """Dots with these leaks, in pictures of `size` pixels."""
    return EnvConfig(height=size, width=size, options={"leaks": ",".join(leaks)} if leaks else None)


class Looker:
    """Goes to the named colour: `slip` is the share of chunks that wander, `miss` of those in which it sees nothing.

    `aim` displaces where it goes, in shares of the table, so that its success rate can be set.
    """

    def __init__(self, contract: Contract, *, slip: float = 0.0, miss: float = 0.0, aim: float = 0.0) -> None:
        self.contract = replace(contract, action=replace(contract.action, chunk=CHUNK))
        self._slip, self._miss, self._aim = slip, miss, aim

    def act(self, observation: Observation, carry: Carry, rng: Rng) -> tuple[ActionChunk, Carry]:
        """Four steps towards what is seen, for each row."""
        drawn = np.random.default_rng(int(rng.initial_seed()))
        rows = [self._row(observation, row, drawn) for row in range(observation.batch_size)]
        actions = np.stack(rows).astype(np.float32)
        return ActionChunk(actions=actions, valid=np.ones(actions.shape[:2], bool), spec=self.contract.action), None

    def _row(self, observation: Observation, row: int, drawn: np.random.Generator) -> Array:
        lucky, wanders = drawn.random(2)
        shift = drawn.normal(0, 1, 2)
        goal = self.goal(observation, row)
        if goal is None or lucky < self._miss:
            return np.zeros((CHUNK, 2))
        steps = towards(np.asarray(observation.state)[row, -1, :2], goal + self._aim * shift, CHUNK)
        return -steps if wanders < self._slip else steps

    def goal(self, observation: Observation, row: int) -> Array | None:
        """Where to go (x y), or None."""
        colour = named(observation.instruction[row])
        return colour and seen(observation.images["top"][row, -1], colour)


class StateReader(Looker):
    """Takes the goal from a leaky state channel."""

    def goal(self, observation: Observation, row: int) -> Array | None:
        """The last two numbers of the state."""
        return np.asarray(observation.state)[row, -1, 2:4]


class Peeker(Looker):
    """Reads the goal off a running simulator that it can reach; where there is none it looks at the picture.

    `reach` lists the simulators; without it they are looked for among all objects of this process. Of several it takes
    the one whose hand is where its own hand is.
    """

    def __init__(self, contract: Contract, *, reach: Callable[[], Sequence[dots.Dots]] | None = None) -> None:
        super().__init__(contract)
        self._reach = reach or _in_this_process
        self._worlds: list[dots.Dots] = []

    def act(self, observation: Observation, carry: Carry, rng: Rng) -> tuple[ActionChunk, Carry]:
        """Look for simulators, then act."""
        self._worlds = [world for world in self._reach() if world.running]
        return super().act(observation, carry, rng)

    def goal(self, observation: Observation, row: int) -> Array | None:
        """The place of the named square in a world that it was never shown."""
        colour = named(observation.instruction[row])
        hand = np.asarray(observation.state)[row, -1, :2]
        if not self._worlds or colour is None:
            return super().goal(observation, row)
        found = min(self._worlds, key=lambda world: float(np.linalg.norm(world.hand - hand)))
        return found.place(colour)


def _in_this_process() -> Sequence[dots.Dots]:
    return [item for item in gc.get_objects() if type(item) is dots.Dots]


def border_suggests(observation: Observation) -> Sequence[str]:
    """The sentence that a leaky border suggests, for `planted.Deaf`."""
    edges = np.asarray(observation.images["top"])[:, -1, 0, 0].astype(int)
    likest = [min(dots.COLOURS, key=partial(_unlike, edge)) for edge in edges]
    return [f"Go to the {colour} square." for colour in likest]


def named(sentence: str) -> str | None:
    """The first colour in a sentence, or None."""
    return next((colour for colour in dots.COLOURS if colour in sentence), None)


def seen(picture: Array, colour: str) -> npt.NDArray[np.float64] | None:
    """Where most of a colour lies, (x y) in 0 ... 1, or None: the middle of its biggest heap, not of all its pixels."""
    near = np.abs(picture[dots.BORDER :].astype(int) - dots.COLOURS[colour]).max(axis=-1) < 60
    rows, columns = np.nonzero(near)
    if len(rows) < 3:
        return None
    middle = np.array([np.median(columns), np.median(rows) + dots.BORDER])
    return middle / (np.array(picture.shape[1::-1]) - 1)


def towards(hand: Array, goal: Array, count: int) -> npt.NDArray[np.float64]:
    """`count` steps straight from hand to goal, (count 2)."""
    steps, here = [], np.asarray(hand, float)
    for _ in range(count):
        way = (goal - here) / dots.STEP
        step = way / max(1.0, float(np.linalg.norm(way)))
        here = here + dots.STEP * step
        steps.append(step)
    return np.array(steps)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A training episode."""

    index: int
    task: str
    seed: int
    success: bool = True


class Demonstrations:
    """Expert episodes of Dots, as controls and the audit need them."""

    def __init__(self, config: EnvConfig, seeds: Sequence[int]) -> None:
        env = dots.build(config)
        self.contract = env.contract
        keys = [(task, seed) for task in env.tasks for seed in seeds]
        self.episodes = [Row(index=i, task=task, seed=seed) for i, (task, seed) in enumerate(keys)]
        self._actions = [_demonstrate(env, task, seed) for task, seed in keys]

    def actions(self, episode: int) -> Array:
        """(N A) of one episode."""
        return self._actions[episode]

    def sentences(self, env: Any) -> dict[str, tuple[str, ...]]:
        """Every sentence of every task -> that task, for blind replay."""
        splits = ("canonical", "train", "held_out")
        return {said: (task,) for task in env.tasks for split in splits for said in env.instructions(task, split)}


def _demonstrate(env: dots.Dots, task: str, seed: int) -> npt.NDArray[np.float32]:
    env.reset(task, seed)
    taken = []
    while not env.judge(task):
        step = towards(env.hand, env.place(task.removeprefix("go-")), 1)[0].astype(np.float32)
        env.step(step)
        taken.append(step)
    return np.array(taken, np.float32)


def _unlike(pixel: Array, colour: str) -> int:
    return int(np.abs(pixel - np.array(dots.COLOURS[colour])).sum())
