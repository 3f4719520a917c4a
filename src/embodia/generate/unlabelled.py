"""Data that no sentence belongs to: random motion, and play, one skill after another in one scene.

Both are for what learns without labels: world models, latent actions, goals in hindsight. Nothing is asked for, so the
episodes have no instruction, `success` False and no reward. The one thing to watch: what was played stands in the log
of attempts only, because a learner is not supposed to know it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from embodia.core.errors import ConfigError
from embodia.core.seeds import generator
from embodia.core.specs import ActionSpec
from embodia.core.types import Observation
from embodia.envs.chaining import Chainable, SceneState, Skill, possible
from embodia.envs.protocol import Env
from embodia.generate.demonstrate import Attempt, EpisodeConfig, Log
from embodia.generate.experts import Expert

PLAY = "play"
"""The name under which play is recorded; seeds tell episodes apart."""
SKILL_STEPS, PAUSE_STEPS = 160, 4
"""Most steps of one skill, and how long its expert goes on after success."""
_SMOOTHNESS, _SIZE = 0.8, 0.7


class Motion:
    """Smooth random actions within the limits of a contract: a pure function of the generator."""

    def __init__(self, spec: ActionSpec, rng: np.random.Generator) -> None:
        parts = [part for part in spec.parts for _ in range(part.dim)]
        self._low, self._high = (np.array([getattr(part, side) for part in parts]) for side in ("low", "high"))
        self._rng, self._now = rng, np.zeros(len(parts))

    def next(self) -> npt.NDArray[np.float32]:
        """The next action (A,): its parts keep to the middle of their range, mostly."""
        fresh = _SIZE * np.sqrt(1.0 - _SMOOTHNESS**2)
        self._now = _SMOOTHNESS * self._now + fresh * self._rng.standard_normal(len(self._now))
        middle, half = (self._low + self._high) / 2, (self._high - self._low) / 2
        return np.clip(middle + half * self._now, self._low, self._high).astype(np.float32)


def wander(env: Env, task: str, seed: int, config: EpisodeConfig) -> Attempt:
    """Move at random in the scene of `task`; a pure function of its arguments."""
    log, motion = Log(config.images_every), Motion(env.contract.action, generator(seed, task, "random"))
    sensed = env.reset(task, seed)
    for _ in range(config.limit):
        action = motion.next()
        log.add(env, sensed, action)
        sensed, _, terminated, truncated, _ = env.step(action)
        log.rewards.append(0.0)
        if terminated or truncated:
            break
    episode = log.episode("", task, seed, success=False, source="random motion")
    return Attempt(task=task, seed=seed, steps=len(log.actions), success=False, episode=episode)


def play(
    env: Env, expert_for: Callable[[str], Expert], seed: int, config: EpisodeConfig, tasks: Sequence[str] = ()
) -> Attempt:
    """Do what is possible in one scene, skill after skill, drawn at random; only those in `tasks` where given.

    Raises `ConfigError` where the tasks of `env` cannot follow one another.
    """
    if not isinstance(env, Chainable):
        raise ConfigError(f"there is no play in {env.provenance.environment}: its tasks cannot follow one another")
    skills = [skill for skill in env.skills() if not tasks or skill.task in tasks]
    session = _Session(env, expert_for, generator(seed, PLAY), config)
    session.run(skills, env.starts(), seed)
    episode = session.log.episode("", PLAY, seed, success=False, source=PLAY)
    reason = "played " + ", ".join(session.done)
    return Attempt(task=PLAY, seed=seed, steps=len(episode), success=False, episode=episode, reason=reason)


class _Session:
    def __init__(
        self, env: Chainable, expert_for: Callable[[str], Expert], rng: np.random.Generator, config: EpisodeConfig
    ) -> None:
        self._env, self._expert_for, self._rng, self._limit = env, expert_for, rng, config.limit
        self.log = Log(config.images_every)
        self.done: list[str] = []

    def run(self, skills: Sequence[Skill], starts: Sequence[SceneState], seed: int) -> None:
        fitting = [start for start in starts if possible(skills, start, frozenset())]
        if not fitting:
            raise ConfigError("none of these tasks can begin a chain", leaf="tasks")
        state = dict(fitting[int(self._rng.integers(len(fitting)))])
        begun = possible(skills, state, frozenset())[0][0].task
        self._env.begin(state, begun, seed)
        while len(self.log.actions) < self._limit:
            choices = possible(skills, state, frozenset())
            if not choices:
                break
            skill, case = choices[int(self._rng.integers(len(choices)))]
            if self._perform(skill.task):
                self.done.append(skill.task)
                state |= case.gives

    def _perform(self, task: str) -> bool:
        """One skill and a short rest; whether it was done."""
        sensed, expert, left = self._env.ask(task), self._expert_for(task), PAUSE_STEPS
        expert.begin()
        success = False
        for _ in range(min(SKILL_STEPS, self._limit - len(self.log.actions))):
            sensed, now = self._step(sensed, expert.act(self._env))
            success = success or now
            left -= success
            if left <= 0:
                break
        return success

    def _step(self, sensed: Observation, action: npt.NDArray[np.float32]) -> tuple[Observation, bool]:
        self.log.add(self._env, sensed, action)
        sensed, _, _, _, info = self._env.step(action)
        self.log.rewards.append(0.0)
        return sensed, bool(info["success"])
