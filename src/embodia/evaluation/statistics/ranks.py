"""Who is first? A rank with its interval, and the groups that nobody can tell apart.

Two readings, and they are not the same. `rank_table` promises: with 95 % confidence *all* true ranks lie in their
intervals at once, because every pair was tested exactly and the family corrected (Holm). `bootstrap_ranks` describes:
how the order would scatter if the same experiment were run again; near ties it is narrower than a promise could be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from embodia.core.errors import ConfigError
from embodia.evaluation.statistics.intervals import Interval, Rate, rate_of
from embodia.evaluation.statistics.verdicts import Verdict, corrected, verdict_paired, verdict_unpaired

Outcomes = Mapping[str, Mapping[Any, bool]]
"""Policy -> episode key, such as (task, seed) -> success. Policies are paired on the keys they share."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A line of a rank table.

    ranks   best and worst rank that the data allow, 1 is best
    groups  letters; two policies that share one could not be told apart
    alone   whether it stands first and is told apart from every other: only then may it be set in bold
    """

    name: str
    rate: Rate
    ranks: tuple[int, int]
    groups: str
    alone: bool


@dataclass(frozen=True, kw_only=True)
class RankTable:
    """Standings, best first, and the corrected verdict on every pair (first, second)."""

    standings: tuple[Standing, ...]
    verdicts: Mapping[tuple[str, str], Verdict]


def rank_table(outcomes: Outcomes) -> RankTable:
    """Ranks of policies by success, with simultaneous 95 % intervals (pairwise exact tests, Holm).

    Policies that ran the same keys are compared pair by pair, others as independent arms; two that share only some of
    their keys are compared on those. Raises `ConfigError` for a policy without episodes.
    """
    for name, episodes in outcomes.items():
        if not episodes:
            raise ConfigError("a policy without episodes has no rank", leaf=name)
    names = sorted(outcomes, key=lambda name: -rate_of(list(outcomes[name].values())).value)
    pairs = list(combinations(names, 2))
    verdicts = dict(zip(pairs, corrected([outcome_verdict(outcomes[a], outcomes[b]) for a, b in pairs]), strict=True))
    beats = _beats(verdicts)
    letters = letter_groups(names, beats)
    standings = tuple(_standing(name, names, outcomes, beats, letters) for name in names)
    return RankTable(standings=standings, verdicts=verdicts)


def letter_groups(names: Sequence[str], beats: set[tuple[str, str]]) -> dict[str, str]:
    """Letters such that two names share one exactly when neither beats the other (Piepho 2004, insert and absorb)."""
    columns: list[frozenset[str]] = [frozenset(names)]
    for better, worse in sorted(beats):
        split = [part for col in columns for part in _split(col, better, worse)]
        columns = [col for col in dict.fromkeys(split) if not any(col < other for other in split)]
    columns.sort(key=lambda col: sorted(names.index(name) for name in col))
    return {name: "".join(_letter(i) for i, col in enumerate(columns) if name in col) for name in names}


def bootstrap_ranks(
    outcomes: Mapping[str, Mapping[str, Sequence[bool]]],
    *,
    over: str = "episodes",
    draws: int = 2_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Interval]:
    """Percentiles of each policy's rank by mean task success when episodes, or tasks and episodes, are drawn again.

    `outcomes` is policy -> task -> successes in the order of the seeds, the same number for all policies: episodes are
    drawn for all policies together, as they were run. Raises `ConfigError` for tables of different shape.
    """
    if over not in ("episodes", "tasks and episodes"):
        raise ConfigError(f"cannot draw {over!r}", leaf="over", cure="Choose episodes, or tasks and episodes.")
    names, tables = list(outcomes), _tables(outcomes)
    rng = np.random.default_rng(seed)
    ranks = np.empty((draws, len(names)))
    for draw in range(draws):
        chosen = tables if over == "episodes" else [tables[i] for i in rng.integers(len(tables), size=len(tables))]
        means = [table[:, rng.integers(table.shape[1], size=table.shape[1])].mean(1) for table in chosen]
        score = np.mean(means, axis=0)
        ranks[draw] = 1 + (score[None, :] > score[:, None] + 1e-12).sum(1)
    ends = np.quantile(ranks, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0, method="closest_observation")
    return {name: (float(ends[0, i]), float(ends[1, i])) for i, name in enumerate(names)}


def outcome_verdict(first: Mapping[Any, bool], second: Mapping[Any, bool]) -> Verdict:
    """The verdict on two tables key -> success: paired over shared keys, unpaired where there are none."""
    shared = [key for key in first if key in second]
    if shared:
        return verdict_paired([first[key] for key in shared], [second[key] for key in shared])
    return verdict_unpaired(rate_of(list(first.values())), rate_of(list(second.values())))


def _beats(verdicts: Mapping[tuple[str, str], Verdict]) -> set[tuple[str, str]]:
    """(better, worse) of the pairs that were told apart."""
    return {(b, a) if v.difference > 0 else (a, b) for (a, b), v in verdicts.items() if v.distinguishable}


def alone_in_front(names: Sequence[str], verdicts: Mapping[tuple[str, str], Verdict]) -> str | None:
    """The name that beats every other one in `verdicts` (already corrected); None where there is no such, or no other.

    Nothing else may be set in bold.
    """
    wins = [better for better, _ in _beats(verdicts)]
    return next((name for name in names if len(names) > 1 and wins.count(name) == len(names) - 1), None)


def _standing(
    name: str, names: Sequence[str], outcomes: Outcomes, beats: set[tuple[str, str]], letters: Mapping[str, str]
) -> Standing:
    above, below = sum(worse == name for _, worse in beats), sum(better == name for better, _ in beats)
    return Standing(
        name=name,
        rate=rate_of(list(outcomes[name].values())),
        ranks=(1 + above, len(names) - below),
        groups=letters[name],
        alone=len(names) > 1 and below == len(names) - 1,
    )


def _split(column: frozenset[str], first: str, second: str) -> list[frozenset[str]]:
    return [column - {first}, column - {second}] if {first, second} <= column else [column]


def _letter(index: int) -> str:
    return chr(ord("a") + index) if index < 26 else f"({index + 1})"


def _tables(outcomes: Mapping[str, Mapping[str, Sequence[bool]]]) -> list[Any]:
    """For each task an array (policies, episodes)."""
    tasks = list(next(iter(outcomes.values()), {}))
    if not tasks or any(list(of) != tasks for of in outcomes.values()):
        raise ConfigError("ranks are drawn over the same tasks for every policy", leaf="outcomes")
    sizes = {task: {len(of[task]) for of in outcomes.values()} for task in tasks}
    for task, size in sizes.items():
        if len(size) != 1 or 0 in size:
            raise ConfigError(f"task {task!r} has {sorted(size)} episodes, equal numbers are needed", leaf="outcomes")
    return [np.array([of[task] for of in outcomes.values()], dtype=float) for task in tasks]
