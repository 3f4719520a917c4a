"""Playing trials of Desk: the same (task, seed) pairs plain and changed, told by the trial's own sentence.

The subject is a policy, or the scripted expert of whatever a trial asks for: what an expert cannot do no policy can be
blamed for. A policy whose contract does not fit a body is played through `Retargeted` where `config.neutral` is given.
The one thing to watch: a trial is made twice, here for its sentence and in the worker for its scene; both are the same
pure function of (task, seed).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, TypeAlias

from embodia.core.errors import ContractError
from embodia.core.protocols import Policy, Rng
from embodia.core.seeds import derive_seed
from embodia.core.specs import Contract, require_match
from embodia.envs import make
from embodia.envs.desk import tasks
from embodia.envs.desk.knobs import Trial, trial
from embodia.envs.desk.knobs.playing import TRIAL, Prepare, prepared
from embodia.envs.local import LocalVector
from embodia.envs.protocol import EnvConfig
from embodia.envs.rollout import EpisodePlan, EpisodeResult, Progress, rollout, torch_generator
from embodia.envs.vector import VectorEnv, Wrap
from embodia.evaluation.generalisation.retarget import Retargeted
from embodia.evaluation.subjects import Silent
from embodia.generate.experts.desk import build

Subject: TypeAlias = Policy | Literal["expert"]
"""A policy, or the scripted experts in its place."""

Key: TypeAlias = tuple[str, int]
"""Task and seed."""


@dataclass(frozen=True, kw_only=True)
class PlayConfig:
    """How trials are played; `episodes` for each change, over `tasks` in turn, from `first_seed` on.

    `neutral` is a state of the policy's own body, with which it is translated to other bodies; without it those are
    left out.
    """

    env: EnvConfig = field(default_factory=EnvConfig)
    tasks: tuple[str, ...]
    episodes: int = 20
    first_seed: int = 3_000_000
    execute: int = 0
    slots: int = 8
    workers: int = 0
    seed: int = 0
    neutral: tuple[float, ...] = ()
    make_rng: Callable[[int], Rng] = torch_generator


def keys(config: PlayConfig, applies: Callable[[str, int], bool] = lambda task, seed: True) -> list[Key]:
    """(task, seed) pairs to which a change applies, tasks in turn; fewer where it seldom does."""
    found: list[Key] = []
    for turn in range(config.episodes * 10):
        key = config.tasks[turn % len(config.tasks)], config.first_seed + turn // len(config.tasks)
        if applies(*key):
            found.append(key)
        if len(found) == config.episodes:
            break
    return found


def play(
    policy: Subject,
    config: PlayConfig,
    pairs: Sequence[Key],
    prepare: Prepare,
    *,
    name: str,
    env: EnvConfig | None = None,
    progress: Progress | None = None,
) -> list[EpisodeResult] | None:
    """Play the prepared trials of `pairs`; None where the policy's contract does not fit the environment.

    Every thing that can be reached is watched, for `intention`.
    """
    if not pairs:
        return []
    made = [prepare(task, seed) for task, seed in pairs]
    plans = [_plan(key, found) for key, found in zip(pairs, made, strict=True)]
    told = None if progress is None else (lambda _, done, total: progress(name, done, total))
    wrap = partial(prepared, prepare=prepare, experts=build if policy == "expert" else None)
    history = int(getattr(policy, "history", 1))
    with closing(_vector(config, env or config.env, wrap, history)) as vector:
        subject = _fitting(policy, vector.contract, config)
        if subject is None:
            return None
        return rollout(
            subject,
            vector,
            plans,
            execute=_execute(config, subject),
            seed=derive_seed(config.seed, name),
            make_rng=config.make_rng,
            progress=told,
        )


def _vector(config: PlayConfig, env: EnvConfig, wrap: Wrap, history: int) -> VectorEnv | LocalVector:
    """Desk in processes, or in this one where one worker is asked for: a process takes longer to start than to play."""
    if config.workers == 1:
        return LocalVector(lambda: wrap(make("desk", env)), slots=config.slots, history=history)
    return VectorEnv("desk", env, wrap=wrap, slots=config.slots, workers=config.workers, history=history)


def _fitting(policy: Subject, contract: Contract, config: PlayConfig) -> Policy | None:
    """The policy as this body's, or None where it cannot be."""
    if policy == "expert":
        return Silent(contract, max(1, config.execute))
    try:
        require_match(policy.contract, contract, left_name="the policy", right_name="Desk")
    except ContractError:
        return Retargeted(policy, contract, config.neutral) if config.neutral else None
    return policy


def _execute(config: PlayConfig, subject: Policy) -> int:
    """Actions between two decisions; in translation those that take as long as the policy's own."""
    if not isinstance(subject, Retargeted) or not config.execute:
        return config.execute
    return max(1, round(config.execute * subject.pace))


def reachable(found: Trial) -> tuple[str, ...]:
    """Tasks of reaching each thing in the scene: what an episode is watched for."""
    names = (f"reach/{thing.name}" for thing in found.scene.things)
    return tuple(name for name in names if name in tasks.registry())


def plain(task: str, seed: int) -> Trial:
    """The unchanged trial."""
    return trial(task, seed)


def _plan(key: Key, found: Trial) -> EpisodePlan:
    return EpisodePlan(task=TRIAL + key[0], seed=key[1], instruction=found.sentence, judged=reachable(found))
