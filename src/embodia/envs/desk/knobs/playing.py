"""Desk with prepared episodes: every reset plays the trial that a function makes of (task, seed).

`VectorEnv(..., wrap=partial(prepared, prepare=...))` carries it into worker processes, so `prepare` must be a plain
function or a partial of one. The one thing to watch: the sentence of a trial is told only where the plan of the episode
carries it, because a plan's sentence goes before the scene's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from embodia.core.errors import ConfigError
from embodia.core.types import Array, Observation
from embodia.envs.adapters.desk import DeskEnv
from embodia.envs.desk.knobs.trials import Trial
from embodia.envs.desk.world import World
from embodia.envs.protocol import Env, StepResult
from embodia.envs.wrapper import Wrapper

Prepare: TypeAlias = Callable[[str, int], Trial]
"""The episode of (task, seed), as a pure function."""

TRIAL = "trial/"
"""Put before a task's name where its trial is played: what a trial asks may be another task, and both may be judged."""


class Knowing(Protocol):
    """Somebody who sees the world itself."""

    def choose(self, world: World) -> Array:
        """The next action (A,)."""
        ...


def prepared(env: Env, *, prepare: Prepare, experts: Callable[[str], Knowing] | None = None) -> Prepared:
    """`env` with prepared episodes. Raises `ConfigError` for anything but Desk."""
    if not isinstance(env, DeskEnv):
        raise ConfigError(f"trials are played on Desk, not on {env.provenance.environment!r}", leaf="family")
    return Prepared(env, prepare, experts)


class Prepared(Wrapper[DeskEnv]):
    """An environment whose resets play trials; everything else is Desk's.

    With `experts` the expert of the task that a trial asks for acts, and actions that are given count for nothing.
    """

    def __init__(self, env: DeskEnv, prepare: Prepare, experts: Callable[[str], Knowing] | None = None) -> None:
        super().__init__(env)
        self._prepare, self._experts = prepare, experts
        self._expert: Knowing | None = None

    def reset(self, task: str, seed: int) -> Observation:
        """Start the trial of (task, seed); the name may have `TRIAL` before it."""
        found = self._prepare(task.removeprefix(TRIAL), seed)
        self._expert = self._experts(found.task) if self._experts else None
        return self.inner.play(task, found)

    def step(self, action: Array) -> StepResult:
        """One control period."""
        return self.inner.step(action if self._expert is None else self._expert.choose(self.inner.world))
