"""Two policies play the same scenes side by side and stop as soon as they are told apart.

What `compare` does with finished evaluations, a duel does while it plays, and its error is as promised although it
looks after every pair (`statistics.sequential`). Scenes come seed by seed over all tasks, in an order fixed beforehand,
so that stopping early favours no task. The one thing to watch: the largest number of pairs is part of the test; going
on after it, or starting again with other seeds until it succeeds, breaks the promise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from embodia.core.protocols import Policy
from embodia.core.seeds import derive_seed, generator
from embodia.envs.rollout import EpisodePlan, Progress, rollout
from embodia.envs.vector import VectorEnv
from embodia.evaluation.episodes import POLICY
from embodia.evaluation.plans import EvalConfig, plans
from embodia.evaluation.runner import Subject, check_fit
from embodia.evaluation.statistics import ALPHA, Race, advance, begin, difference_sequence, rate_of
from embodia.evaluation.summary import rate_entry


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two: the policy, what is known of it, and how many actions of a chunk it carries out (0: all)."""

    policy: Policy
    subject: Subject
    execute: int = 0


def duel(
    first: Side,
    second: Side,
    config: EvalConfig,
    *,
    vector: VectorEnv,
    alpha: float = ALPHA,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Play until told apart, or until all `config.episodes` of every task are played; the outcome as JSON.

    `winner` is "first", "second" or None; `pairs` were played of at most `most`; `interval` of the difference holds at
    every moment (a confidence sequence), is wider than the verdict needs and may hold zero when a winner is named.
    Raises what `evaluate` raises before the first episode.
    """
    for name, side in (("the first policy", first), ("the second policy", second)):
        check_fit(side.policy, side.subject, config, vector, name=name)
    planned = duel_plans(config, vector)
    race, played = begin(len(planned), alpha), 0
    outcomes: list[tuple[bool, bool]] = []
    while not race.over:
        part = planned[played : played + vector.slots]
        pairs = _play(first, second, part, config, vector, played)
        for pair in pairs:
            race = advance(race, *pair)
        outcomes += pairs
        played += len(part)
        if progress is not None:
            progress("pairs", played, len(planned))
    return _outcome(race, planned[:played], outcomes, alpha)


def duel_plans(config: EvalConfig, vector: VectorEnv) -> list[EpisodePlan]:
    """All scenes of an evaluation, seed after seed, the tasks of each seed in an order drawn from the root seed."""
    by_seed: dict[int, list[EpisodePlan]] = {}
    for plan in plans(config, vector, POLICY):
        by_seed.setdefault(plan.seed, []).append(plan)
    rng = generator(config.seed, "duel")
    return [group[i] for group in by_seed.values() for i in rng.permutation(len(group))]


def _play(
    first: Side, second: Side, part: Sequence[EpisodePlan], config: EvalConfig, vector: VectorEnv, number: int
) -> list[tuple[bool, bool]]:
    """Both sides on the same scenes, with the same seed for their own randomness."""
    seed = derive_seed(config.seed, "duel", number)
    results = [rollout(side.policy, vector, part, execute=side.execute, seed=seed) for side in (first, second)]
    return [(a.success, b.success) for a, b in zip(*results, strict=True)]


def _outcome(
    race: Race, played: Sequence[EpisodePlan], outcomes: Sequence[tuple[bool, bool]], alpha: float
) -> dict[str, Any]:
    """Rates count every episode played, the verdict the pairs up to the decision."""
    low, high = difference_sequence(race.gain, race.loss, race.n, 1 - alpha)
    return {
        "winner": race.winner,
        "text": race.text,
        "pairs": race.n,
        "most": race.most,
        "alpha": alpha,
        "only_first": race.loss,
        "only_second": race.gain,
        "difference": race.lead / race.n,
        "interval": [low, high],
        "first": rate_entry(rate_of([a for a, _ in outcomes])),
        "second": rate_entry(rate_of([b for _, b in outcomes])),
        "episodes": [
            {"task": plan.task, "seed": plan.seed, "first": bool(a), "second": bool(b)}
            for plan, (a, b) in zip(played, outcomes, strict=True)
        ],
    }
