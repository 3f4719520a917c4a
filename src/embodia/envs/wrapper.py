"""An environment round another one: what a subclass does not say itself, the inner one says."""

from __future__ import annotations

from typing import Generic, TypeVar

from embodia.core.types import Array, Observation
from embodia.envs.protocol import Env, Split, StepResult

Inner = TypeVar("Inner", bound=Env)


class Wrapper(Generic[Inner]):
    """`Env` around `Env`; `inner` is the one inside."""

    def __init__(self, inner: Inner) -> None:
        self.inner = inner
        self.contract, self.provenance, self.tasks = inner.contract, inner.provenance, inner.tasks

    def reset(self, task: str, seed: int) -> Observation:
        """Start an episode."""
        return self.inner.reset(task, seed)

    def step(self, action: Array) -> StepResult:
        """One control period."""
        return self.inner.step(action)

    def observe(self) -> Observation:
        """What is sensed now, with images."""
        return self.inner.observe()

    def instructions(self, task: str, split: Split = "canonical") -> tuple[str, ...]:
        """The sentences of a task."""
        return self.inner.instructions(task, split)

    def judge(self, task: str) -> bool:
        """Whether the predicate of a task holds now."""
        return self.inner.judge(task)

    def scene_partners(self, task: str) -> tuple[str, ...]:
        """Other tasks of the same scene."""
        return self.inner.scene_partners(task)

    def close(self) -> None:
        """Free what the inner one holds."""
        self.inner.close()
