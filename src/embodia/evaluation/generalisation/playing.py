"""Playing trials of Desk: the same (task, seed) pairs plain and changed, told by the trial's own sentence.

The one thing to watch: a trial is made twice, here for its sentence and in the worker for its scene; both are the same
pure function of (task, seed).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from embodia.core.errors import ContractError
from embodia.core.protocols import Policy
from embodia.core.seeds import derive_seed
from embodia.core.specs import require_match
from embodia.envs.desk import tasks
from embodia.envs.desk.knobs import Trial, trial
from embodia.envs.desk.knobs.playing import Prepare, prepared
from embodia.envs.protocol import EnvConfig
from embodia.envs.rollout import EpisodePlan, EpisodeResult, rollout
from embodia.envs.vector import VectorEnv

Key: TypeAlias = tuple[str, int]
"""Task and seed."""

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is played, episodes done, episodes in all."""


@dataclass(frozen=True, kw_only=True)
class PlayConfig:
    """How trials are played; `episodes` for each change, over `tasks` in turn, from `first_seed` on."""

    env: EnvConfig = field(default_factory=EnvConfig)
    tasks: tuple[str, ...]
    episodes: int = 20
    first_seed: int = 3_000_000
    execute: int = 0
    slots: int = 8
    workers: int = 0
    seed: int = 0


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
    policy: Policy,
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
    wrap = partial(prepared, prepare=prepare)
    history = int(getattr(policy, "history", 1))
    settings = {"slots": config.slots, "workers": config.workers, "history": history}
    with VectorEnv("desk", env or config.env, wrap=wrap, **settings) as vector:
        try:
            require_match(policy.contract, vector.contract, left_name="the policy", right_name="Desk")
        except ContractError:
            return None
        seed = derive_seed(config.seed, name)
        return rollout(policy, vector, plans, execute=config.execute, seed=seed, progress=told)


def reachable(found: Trial) -> tuple[str, ...]:
    """Tasks of reaching each thing in the scene: what an episode is watched for."""
    names = (f"reach/{thing.name}" for thing in found.scene.things)
    return tuple(name for name in names if name in tasks.registry())


def plain(task: str, seed: int) -> Trial:
    """The unchanged trial."""
    return trial(task, seed)


def _plan(key: Key, found: Trial) -> EpisodePlan:
    return EpisodePlan(task=key[0], seed=key[1], instruction=found.sentence, judged=reachable(found))
