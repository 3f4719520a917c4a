"""One demonstration: the expert acts, its actions may be disturbed, what was seen and what it wanted is kept.

The one thing to watch: frame i is what was seen before action i, and action i is the expert's own, not the disturbed
one that was executed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from embodia.core.errors import ConfigError
from embodia.core.seeds import generator
from embodia.core.types import Observation
from embodia.data.episode import EpisodeData
from embodia.envs.protocol import Env
from embodia.generate.disturb import Disturbance, NoiseConfig
from embodia.generate.experts import Expert
from embodia.generate.label import Labeller
from embodia.generate.takeover import Takeover


@dataclass(frozen=True, kw_only=True)
class EpisodeConfig:
    """How one demonstration is made.

    `limit` steps are the most; after the first success the expert goes on until the predicate has held for `settle`
    more steps. Pictures are drawn at every `images_every`-th step, frames 0, k, 2k ...; frames between show the last
    picture, so with k > 1 train on those frames only.
    """

    limit: int = 300
    settle: int = 5
    images_every: int = 1
    noise: NoiseConfig = field(default_factory=NoiseConfig)

    def __post_init__(self) -> None:
        if self.limit < 1 or self.settle < 0 or self.images_every < 1:
            raise ConfigError("limit and images_every are at least 1, settle at least 0", leaf="episode")


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What came of one (task, seed): `episode` is None where nothing is kept, `reason` says why, or what was done.

    `success` is whether what was asked for was done; where nothing was asked for it is False.
    """

    task: str
    seed: int
    steps: int
    success: bool
    episode: EpisodeData | None
    reason: str = ""

    @property
    def kept(self) -> bool:
        """Whether there is an episode to record."""
        return self.episode is not None


def demonstrate(
    env: Env,
    expert: Expert,
    task: str,
    seed: int,
    config: EpisodeConfig,
    labeller: Labeller | None = None,
    before: Takeover | None = None,
) -> Attempt:
    """Let `expert` do `task` from `seed`; a pure function of its arguments.

    `env` must let an episode go on after success (`success_ends=False`). `labeller` adds texts to every frame.
    `before` lets a policy act first; nothing of that is recorded.
    """
    log = Log(config.images_every)
    if labeller is not None:
        labeller.begin(task, seed)
    noise = Disturbance(config.noise, env.contract.action, generator(seed, task, "noise"))
    sensed, done = env.reset(task, seed), ""
    if before is not None:
        sensed, done = before(env, sensed, task, seed)
    if done:
        return Attempt(task=task, seed=seed, steps=0, success=False, episode=None, reason=done)
    expert.begin()
    held = 0
    for _ in range(config.limit):
        action = expert.act(env)
        log.add(env, sensed, action)
        if labeller is not None:
            labeller.note(env, expert)
        sensed, reward, terminated, truncated, info = env.step(noise.apply(action))
        log.rewards.append(reward)
        held += bool(info["success"])
        if held > config.settle or terminated or truncated:
            break
    success = bool(info["success"])
    said = env.instructions(task)[0]
    source = "scripted expert" if before is None else "scripted expert, taking over"
    episode = log.episode(said, task, seed, success=True, source=source) if success else None
    if episode is not None and labeller is not None:
        episode = replace(episode, answers=labeller.answers())
    reason = "" if success else "the predicate does not hold at the end"
    return Attempt(task=task, seed=seed, steps=len(log.actions), success=success, episode=episode, reason=reason)


class Log:
    """What is sensed and done; pictures and senses at every `images_every`-th step, between them the last ones."""

    def __init__(self, images_every: int) -> None:
        self._every = images_every
        self._frames: dict[str, list[npt.NDArray[np.uint8]]] = {}
        self._senses: dict[str, list[npt.NDArray[np.float32]]] = {}
        self._states: list[npt.NDArray[np.float32]] = []
        self.actions: list[npt.NDArray[np.float32]] = []
        self.rewards: list[float] = []

    def add(self, env: Env, sensed: Observation, action: npt.NDArray[np.float32]) -> None:
        """What `env` shows and `sensed` says now, and the action that follows."""
        if len(self.actions) % self._every == 0:
            seen = env.observe()
            for name, image in seen.images.items():
                self._frames.setdefault(name, []).append(image[0, 0])
            for sense in env.contract.observation.senses:
                self._senses.setdefault(sense.key, []).append(np.asarray(seen.sense(sense), dtype=np.float32)[0, 0])
        self._states.append(np.asarray(sensed.state, dtype=np.float32)[0, 0])
        self.actions.append(np.asarray(action, dtype=np.float32))

    def episode(self, instruction: str, task: str, seed: int, *, success: bool, source: str) -> EpisodeData:
        """All of it as one episode."""
        shown = np.arange(len(self.actions)) // self._every
        return EpisodeData(
            frames={name: np.stack(images)[shown] for name, images in self._frames.items()},
            state=np.stack(self._states),
            actions=np.stack(self.actions),
            instruction=instruction,
            task=task,
            seed=seed,
            success=success,
            rewards=np.asarray(self.rewards, dtype=np.float32),
            source=source,
            senses={key: np.stack(values)[shown] for key, values in self._senses.items()},
        )
