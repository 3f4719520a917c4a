"""Sanity subjects of a suite: its scripted expert and random actions, judged like any policy.

A suite whose expert fails or whose random actions succeed measures something else than it says, so both rows belong
beside every number. Neither looks, therefore no picture is drawn. The one thing to watch: the expert acts inside the
environment, where the places of objects are known; the policy that stands in for it is silent and its actions count
for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from embodia.core.errors import ConfigError, MissingExtraError, UnknownNameError
from embodia.core.protocols import Carry, Policy, Rng
from embodia.core.specs import Contract
from embodia.core.types import ActionChunk, Array, Observation
from embodia.envs.protocol import Env, StepResult
from embodia.envs.rollout import Progress
from embodia.envs.vector import VectorEnv, Wrap
from embodia.envs.wrapper import Wrapper
from embodia.evaluation.chains import Chained
from embodia.evaluation.controls import RANDOM_POLICY, RandomPolicy
from embodia.evaluation.episodes import POLICY
from embodia.evaluation.plans import EvalConfig, wrap_of
from embodia.evaluation.runner import BLIND_CHUNK, evaluate
from embodia.evaluation.runner import Subject as Described
from embodia.evaluation.suites import Suite
from embodia.generate.experts import FOLDER as EXPERTS
from embodia.generate.experts import Expert
from embodia.generate.experts import make as make_expert

SanitySubject: TypeAlias = Literal["expert", "random"]
SUBJECTS: tuple[SanitySubject, ...] = ("expert", "random")
NO_EXPERT = "No scripted expert ships for {tasks}: only random actions were played, nothing shows that it can be done."


class Blindfolded(Wrapper[Env]):
    """An environment without pictures; with `experts` its own expert acts and the actions given are ignored."""

    def __init__(self, env: Env, experts: Callable[[str], Expert] | None = None) -> None:
        super().__init__(env)
        self._experts = experts
        sight = replace(env.contract.observation, cameras=())
        self.contract = replace(env.contract, observation=sight)
        self._expert: Expert | None = None
        self._asked = ""
        self._sensed = Observation()

    def reset(self, task: str, seed: int) -> Observation:
        """Start an episode, with an expert of its own."""
        self._sensed = self.inner.reset(task, seed)
        if self._experts is not None:
            self._call(task)
        return self._sensed

    def step(self, action: Array) -> StepResult:
        """What `action`, or the expert instead, does."""
        result = self.inner.step(action if self._expert is None else self._act())
        self._sensed = result[0]
        return result

    def observe(self) -> Observation:
        """The last observation again: nothing is drawn."""
        return self._sensed

    def _call(self, task: str) -> None:
        assert self._experts is not None
        asked = self.inner.asked if isinstance(self.inner, Chained) else task
        self._expert, self._asked = self._experts(asked), asked
        self._expert.begin()

    def _act(self) -> Array:
        if isinstance(self.inner, Chained) and self.inner.asked != self._asked:
            self._call(self._asked)
        assert self._expert is not None
        return self._expert.act(self.inner.env if isinstance(self.inner, Chained) else self.inner)


class Silent:
    """Zeros, a chunk at a time: stands in for an expert that acts inside the environment."""

    def __init__(self, contract: Contract, chunk: int) -> None:
        self.contract = replace(contract, action=replace(contract.action, chunk=chunk))

    def act(self, observation: Observation, carry: Carry, rng: Rng) -> tuple[ActionChunk, Carry]:
        """A chunk (B H A) of zeros."""
        spec = self.contract.action
        actions = np.zeros((observation.batch_size, spec.chunk, spec.dim), np.float32)
        return ActionChunk(actions=actions, valid=np.ones(actions.shape[:2], dtype=bool), spec=spec), None


def has_expert(suite: Suite) -> bool:
    """Whether a scripted expert ships for any task of the suite."""
    tasks = suite.env.tasks
    return suite.family in EXPERTS.names() and (not tasks or any(_knows(suite.family, task) for task in tasks))


def without_expert(suite: Suite, tasks: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Those of `tasks`, or else of the suite's, for which no scripted expert ships; its name where none has one."""
    if not has_expert(suite):
        return (suite.name,)
    return tuple(task for task in tasks or suite.env.tasks if not _knows(suite.family, task))


def _knows(family: str, task: str) -> bool:
    """Whether an expert ships, be its benchmark installed or not."""
    try:
        make_expert(family, task)
    except UnknownNameError:
        return False
    except (MissingExtraError, ModuleNotFoundError):
        return True
    return True


def sanity(
    suite: Suite,
    out: str | Path,
    *,
    subjects: Sequence[SanitySubject] = SUBJECTS,
    episodes: int = 0,
    tasks: tuple[str, ...] = (),
    slots: int = 8,
    workers: int = 0,
    command: str = "",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Judge the expert with random actions as its control, or one of them alone; write the report and return it.

    `episodes` 0 is the suite's own number for each task. Raises `ConfigError` for an expert that does not exist, and
    what `evaluate` raises.
    """
    alone = without_expert(suite, tasks)
    if "expert" in subjects and alone:
        cure = "Use --policy random, or --tasks with those that have one."
        raise ConfigError(f"no expert ships for {', '.join(alone)}", leaf="policy", cure=cure)
    controls = (RANDOM_POLICY,) if tuple(subjects) == SUBJECTS else ()
    config = suite.config(
        episodes=episodes, control_episodes=10**9, tasks=tasks, controls=controls, slots=slots, workers=workers
    )
    config = replace(config, filmed=0, clips=0)
    with ExitStack() as stack:
        free = stack.enter_context(_vector(config))
        described = Described(
            trained=free.provenance,
            facts={"name": subjects[0], "suite": suite.name},
            command=command,
            notes=(NO_EXPERT.format(tasks=", ".join(alone)),) if alone else (),
        )
        own: Mapping[str, VectorEnv] = {}
        policy: Policy = RandomPolicy(free.contract, config.env.horizon or BLIND_CHUNK)
        if subjects[0] == "expert":
            policy = Silent(free.contract, config.env.horizon or BLIND_CHUNK)
            own = {POLICY: stack.enter_context(_vector(config, partial(make_expert, config.family)))}
        return evaluate(policy, config, out, subject=described, vector=free, own=own, progress=progress)


@dataclass(frozen=True)
class _Wrapped:
    """Blindfolded, and chained before that where the suite plays chains; travels to the workers."""

    inner: Wrap | None
    experts: Callable[[str], Expert] | None

    def __call__(self, env: Env) -> Env:
        return Blindfolded(self.inner(env) if self.inner else env, self.experts)


def _vector(config: EvalConfig, experts: Callable[[str], Expert] | None = None) -> VectorEnv:
    wrap = _Wrapped(inner=wrap_of(config), experts=experts)
    return VectorEnv(config.family, config.env, slots=config.slots, workers=config.workers, wrap=wrap)
