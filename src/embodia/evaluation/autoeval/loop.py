"""The bench that runs itself: reset, check the reset, play, let the judge decide, write a line, go on.

Every finished trial is one line of a journal, so a killed bench starts at the first trial that has none. A trial is a
pure function of (seed, number) where the reset is. The one thing to watch: a reset that the judge does not believe is
tried again and then counted as a call for a person; the rate of those says how autonomous a bench really is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from embodia.core.config import from_json, to_json
from embodia.core.errors import ConfigError
from embodia.core.protocols import Carry, Policy, Rng
from embodia.core.seeds import derive_seed
from embodia.core.types import Array, Observation
from embodia.envs.protocol import Env
from embodia.envs.rollout import Progress
from embodia.io.atomic import append_line, lock
from embodia.io.jsonio import read_json_lines

Reset = Callable[[Env, str, int], None]
"""Brings the scene of a task back to a start: a robot's reset policy, or a simulator's reset."""


class Judging(Protocol):
    """What the loop asks of a judge."""

    def probability(self, images: Mapping[str, Array], task: str) -> float:
        """That `task` is done."""
        ...


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """Which trials are played.

    trials    in all; tasks take turns
    execute   actions of a chunk that are carried out before the policy looks again (0: all)
    horizon   control steps after which a trial ends
    every     control steps between two looks of the judge; a trial ends when it says "done"
    resets    attempts at a reset before a person is called
    believe   probability from which the judge's "done" is believed
    looks     successive looks that must believe before a trial ends as done
    """

    tasks: tuple[str, ...]
    trials: int
    horizon: int
    execute: int = 0
    every: int = 10
    resets: int = 3
    believe: float = 0.5
    looks: int = 1
    first_seed: int = 3_000_000
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.trials, self.horizon, self.every, self.resets, self.looks) < 1 or not self.tasks:
            raise ConfigError("tasks, trials, horizon, every, resets and looks are at least one", leaf="autoeval")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A line of the journal.

    judged       the judge's verdict, and `probability` its last word
    truth        the predicate at the end, where there is one to ask; never shown to the judge
    resets       attempts that the reset took; `called` when none was believed
    """

    number: int
    task: str
    seed: int
    judged: bool
    probability: float
    truth: bool | None
    steps: int
    resets: int
    called: bool


def simulator_reset(env: Env, task: str, seed: int) -> None:
    """A simulator's own reset."""
    env.reset(task, seed)


def run_bench(
    config: BenchConfig,
    env: Env,
    policy: Policy,
    judge: Judging,
    journal: Path,
    make_rng: Callable[[int], Rng],
    *,
    reset: Reset = simulator_reset,
    person: Reset | None = None,
    progress: Progress | None = None,
) -> list[Trial]:
    """Play the trials that the journal lacks and return all; `person` is what one does who is called.

    Raises `StorageError` when another bench writes there.
    """
    held = lock(journal.with_suffix(".lock"))
    try:
        trials = read_journal(journal)
        for number in range(len(trials), config.trials):
            trial = _play(config, env, policy, judge, number, make_rng, reset, person)
            append_line(journal, json.dumps(to_json(trial), sort_keys=True))
            trials.append(trial)
            if progress is not None:
                progress("trials", len(trials), config.trials)
    finally:
        held.close()
    return trials[: config.trials]


def read_journal(journal: Path) -> list[Trial]:
    """The finished trials; a line that a kill tore is not one. Raises `CorruptFileError`, `ConfigError`."""
    if not journal.is_file():
        return []
    lines = enumerate(read_json_lines(journal), start=1)
    return [from_json(Trial, line, file=str(journal), leaf=f"line {number}") for number, line in lines]


def agreement(trials: Sequence[Trial]) -> dict[str, int]:
    """How often judge and truth say what: both_done, both_not, judge_only, truth_only; without truth not counted."""
    known = [(trial.judged, trial.truth) for trial in trials if trial.truth is not None]
    names = {(True, True): "both_done", (False, False): "both_not", (True, False): "judge_only"}
    found = dict.fromkeys((*names.values(), "truth_only"), 0)
    for pair in known:
        found[names.get(pair, "truth_only")] += 1
    return found


def _play(
    config: BenchConfig,
    env: Env,
    policy: Policy,
    judge: Judging,
    number: int,
    make_rng: Callable[[int], Rng],
    reset: Reset,
    person: Reset | None,
) -> Trial:
    task = config.tasks[number % len(config.tasks)]
    seed = config.first_seed + number
    resets, believed = _reset(config, env, judge, task, seed, reset)
    if not believed and person is not None:
        person(env, task, seed)
    judged, probability, steps = _episode(config, env, policy, judge, task, make_rng(derive_seed(config.seed, number)))
    return Trial(
        number=number,
        task=task,
        seed=seed,
        judged=judged,
        probability=probability,
        truth=bool(env.judge(task)),
        steps=steps,
        resets=resets,
        called=not believed,
    )


def _reset(config: BenchConfig, env: Env, judge: Judging, task: str, seed: int, reset: Reset) -> tuple[int, bool]:
    for attempt in range(1, config.resets + 1):
        reset(env, task, seed)
        if judge.probability(seen(env.observe()), task) < config.believe:
            return attempt, True
    return config.resets, False


def _episode(
    config: BenchConfig, env: Env, policy: Policy, judge: Judging, task: str, rng: Rng
) -> tuple[bool, float, int]:
    """Whether enough looks in a row believed, the last probability, the steps played."""
    carry: Carry = None
    probability, steps, looked, row = 0.0, 0, 0, 0
    while steps < config.horizon:
        observation = env.observe()
        chunk, carry = policy.act(observation, carry, rng)
        for action in np.asarray(chunk.actions)[0][: config.execute or None][: config.horizon - steps]:
            env.step(action)
            steps += 1
            if steps - looked >= config.every or steps == config.horizon:
                looked = steps
                probability = judge.probability(seen(env.observe()), task)
                row = row + 1 if probability >= config.believe else 0
                if row >= config.looks:
                    return True, probability, steps
    return False, probability, steps


def seen(observation: Observation) -> dict[str, Array]:
    """The newest picture of each camera, (H W 3)."""
    return {name: np.asarray(image)[0, -1] for name, image in observation.images.items()}
