"""Failures on purpose: episodes with a sentence that is not done, labelled as such.

Three ways to fail, in an order drawn for each episode until one of them fails: `other` does what another sentence of
the same scene asks for, `halting` stops for good on the way, `clumsy` is thrown about and opens or closes the gripper
at the wrong time. For critics, reward models and success classifiers. The one thing to watch: unlike in demonstrations,
the action that is recorded is the one that was executed, because it is what made the episode fail.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from embodia.core.seeds import generator
from embodia.core.specs import ActionSpec
from embodia.envs.protocol import Env
from embodia.generate.demonstrate import Attempt, EpisodeConfig, Log
from embodia.generate.disturb import Disturbance, NoiseConfig
from embodia.generate.experts import Expert

WAYS = ("other", "halting", "clumsy")
"""How an episode fails."""
HALT_STEPS, REST_STEPS = (3, 30), 12
"""When a halting expert stops, and for how long that is watched."""
_THROWN = NoiseConfig(share=1.0, tremor=0.7, push_rate=0.15, push=2.0, while_closed=1.0)
_SLIP_RATE, _SLIP_STEPS = 0.06, (3, 10)

ExpertFor = Callable[[str], Expert]


class _Acting(Protocol):
    def act(self, env: Env) -> npt.NDArray[np.float32]: ...

    def over(self, env: Env) -> bool: ...


def fail(env: Env, expert_for: ExpertFor, task: str, seed: int, config: EpisodeConfig) -> Attempt:
    """Fail at `task` from `seed`, in another way where it was done all the same; a pure function of its arguments.

    Nothing is kept where every way led to success. `env` must let an episode go on after it (`success_ends=False`).
    """
    rng = generator(seed, task, "failure")
    ways = [str(way) for way in rng.permutation(WAYS) if way != "other" or env.scene_partners(task)]
    for way in ways:
        attempt = _fail(way, env, expert_for, task, seed, config, rng)
        if attempt.kept:
            break
    return attempt


def _fail(
    way: str, env: Env, expert_for: ExpertFor, task: str, seed: int, config: EpisodeConfig, rng: np.random.Generator
) -> Attempt:
    log, sensed = Log(config.images_every), env.reset(task, seed)
    acting = _acting(way, env, expert_for, task, rng)
    success = False
    for _ in range(config.limit):
        action = acting.act(env)
        log.add(env, sensed, action)
        sensed, reward, terminated, truncated, info = env.step(action)
        log.rewards.append(reward)
        success = bool(info["success"])
        if success or terminated or truncated or acting.over(env):
            break
    source = f"failing expert: {way}"
    episode = None if success else log.episode(env.instructions(task)[0], task, seed, success=False, source=source)
    reason = f"{way}, and yet it was done" if success else way
    return Attempt(task=task, seed=seed, steps=len(log.actions), success=success, episode=episode, reason=reason)


def _acting(way: str, env: Env, expert_for: ExpertFor, task: str, rng: np.random.Generator) -> _Acting:
    if way == "other":
        partners = env.scene_partners(task)
        other = partners[int(rng.integers(len(partners)))]
        return _Other(_begun(expert_for(other)), other)
    expert = _begun(expert_for(task))
    if way == "halting":
        return _Halting(expert, env.contract.action, int(rng.integers(*HALT_STEPS)))
    return _Clumsy(expert, env.contract.action, rng)


def _begun(expert: Expert) -> Expert:
    expert.begin()
    return expert


class _Other:
    def __init__(self, expert: Expert, task: str) -> None:
        self._expert, self._task, self._held = expert, task, 0

    def act(self, env: Env) -> npt.NDArray[np.float32]:
        return self._expert.act(env)

    def over(self, env: Env) -> bool:
        self._held += env.judge(self._task)
        return self._held > REST_STEPS


class _Halting:
    def __init__(self, expert: Expert, spec: ActionSpec, after: int) -> None:
        self._expert, self._spec, self._left = expert, spec, after
        self._last: npt.NDArray[np.float32] | None = None

    def act(self, env: Env) -> npt.NDArray[np.float32]:
        self._left -= 1
        if self._left >= 0 or self._last is None:
            self._last = self._expert.act(env)
            return self._last
        return still(self._last, self._spec)

    def over(self, env: Env) -> bool:
        return self._left <= -REST_STEPS


class _Clumsy:
    def __init__(self, expert: Expert, spec: ActionSpec, rng: np.random.Generator) -> None:
        self._expert, self._rng, self._slip = expert, rng, 0
        self._noise = Disturbance(_THROWN, spec, rng)
        self._grips = np.array([part.representation == "gripper" for part in spec.parts for _ in range(part.dim)])

    def act(self, env: Env) -> npt.NDArray[np.float32]:
        action = self._noise.apply(self._expert.act(env))
        if self._slip == 0 and self._rng.random() < _SLIP_RATE:
            self._slip = int(self._rng.integers(*_SLIP_STEPS))
        if self._slip > 0:
            self._slip -= 1
            action = np.where(self._grips, -action, action).astype(np.float32)
        return action

    def over(self, env: Env) -> bool:
        return False


def still(last: npt.NDArray[np.float32], spec: ActionSpec) -> npt.NDArray[np.float32]:
    """The action (A,) that keeps what `last` led to: places and grippers as they were, all else zero."""
    kept = ("gripper", "joint_position", "ee_position", "ee_rotation", "hand_joint_position")
    moving = [part.representation not in kept for part in spec.parts for _ in range(part.dim)]
    return np.where(np.array(moving), 0.0, last).astype(np.float32)
