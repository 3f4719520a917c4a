"""Do the intervals cover and the tests err as often as they promise? Simulated experiments with a known truth.

Run: `python benchmarks/statistics_coverage.py`; writes results/statistics.json in about three minutes on one core.
In the result a "task" is a procedure and a success is a simulated experiment that kept its promise: the interval held
the truth, or no false claim was made. Two procedures that are known to be wrong stand among the controls (Wald's
interval, and a p-value that is looked at after every pair): were they to pass, the simulation would be blind.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

import numpy as np
from rich.progress import track
from scipy import stats

from embodia.core.seeds import generator
from embodia.evaluation import statistics as es
from embodia.evaluation.facts import run_facts
from embodia.evaluation.results import write_result
from embodia.evaluation.summary import rate_entry

Rng = np.random.Generator
Kept = list[bool]
"""One entry a simulated experiment: was the promise kept?"""

SIZES = (10, 20, 30, 50, 100, 200, 500)


def wald(successes: int, n: int) -> es.Interval:
    """The textbook interval that is wrong for few episodes and for rates near 0 and 1."""
    half = 1.96 * math.sqrt(successes * (n - successes) / n**3)
    return successes / n - half, successes / n + half


def rate_intervals(make: Callable[[int, int], es.Interval], rng: Rng, repeats: int) -> Kept:
    """Rates drawn evenly from 2 to 98 %, numbers of episodes from `SIZES`."""
    known = cache(make)
    truths, sizes = rng.uniform(0.02, 0.98, repeats), rng.choice(SIZES, repeats)
    kept = []
    for truth, n, k in zip(truths, sizes, rng.binomial(sizes, truths), strict=True):
        low, high = known(int(k), int(n))
        kept.append(bool(low <= truth <= high))
    return kept


def exact_coverage(make: Callable[[int, int], es.Interval]) -> list[dict[str, float]]:
    """No simulation: the binomial weight of the outcomes whose interval holds the truth, rates 2 to 98 %."""
    truths, rows = np.linspace(0.02, 0.98, 193), []
    for n in SIZES:
        counts = np.arange(n + 1)
        ends = np.array([make(int(k), n) for k in counts])
        inside = (ends[:, :1] <= truths) & (truths <= ends[:, 1:])
        coverage = (stats.binom.pmf(counts[:, None], n, truths) * inside).sum(0)
        within = float(np.mean((coverage >= 0.93) & (coverage <= 0.97)))
        rows.append(
            {"n": n, "mean": float(coverage.mean()), "least": float(coverage.min()), "share_in_93_to_97": within}
        )
    return rows


def paired_interval(rng: Rng, repeats: int) -> Kept:
    """Tango's interval; success rates, agreement and n drawn anew for each experiment."""
    kept = []
    for _ in range(repeats):
        n = int(rng.choice((20, 50, 100)))
        gain, loss, both, neither = rng.dirichlet((1, 1, 2, 2))
        g, lo, _, _ = rng.multinomial(n, (gain, loss, both, neither))
        low, high = es.paired_difference(int(lo), int(g), n)
        kept.append(bool(low <= gain - loss <= high))
    return kept


def unpaired_interval(rng: Rng, repeats: int) -> Kept:
    """Newcombe's interval of two independent arms."""
    kept = []
    for _ in range(repeats):
        n, (p, q) = int(rng.choice((20, 50, 100))), rng.uniform(0.02, 0.98, 2)
        first, second = (es.Rate(successes=int(rng.binomial(n, x)), n=n) for x in (p, q))
        low, high = es.unpaired_difference(first, second)
        kept.append(bool(low <= q - p <= high))
    return kept


def task_means(over: str) -> Callable[[Rng, int], Kept]:
    """The mean over 3 to 12 tasks; over "such" tasks the truth is the mean of the law that the tasks came from."""

    def simulate(rng: Rng, repeats: int) -> Kept:
        kept = []
        for _ in range(repeats):
            tasks, n, shape = int(rng.integers(3, 13)), int(rng.choice((10, 20, 50))), rng.uniform(0.7, 3.0, 2)
            truths = rng.beta(*shape, size=tasks)
            rates = [es.Rate(successes=int(k), n=n) for k in rng.binomial(n, truths)]
            low, high = es.mean_over_tasks(rates, over=over).interval
            truth = truths.mean() if over == "these" else shape[0] / shape.sum()
            kept.append(bool(low <= truth <= high))
        return kept

    return simulate


def sequence_of_rates(rng: Rng, repeats: int) -> Kept:
    """The confidence sequence of a rate, looked at after every one of 100 episodes."""
    known = {(k, n): es.rate_sequence(k, n) for n in range(1, 101) for k in range(n + 1)}
    low = np.array([[known.get((k, n), (0, 0))[0] for k in range(101)] for n in range(1, 101)])
    high = np.array([[known.get((k, n), (0, 0))[1] for k in range(101)] for n in range(1, 101)])
    truths = rng.uniform(0.02, 0.98, repeats)
    counts = (rng.random((repeats, 100)) < truths[:, None]).cumsum(1)
    rows = np.arange(100)
    return [bool(((low[rows, c] <= t) & (t <= high[rows, c])).all()) for c, t in zip(counts, truths, strict=True)]


def sequence_of_differences(rng: Rng, repeats: int) -> Kept:
    """The confidence sequence of a difference, looked at after 10, 20, 40 and 80 pairs."""
    kept = []
    for _ in range(repeats):
        shares = rng.dirichlet((1, 3, 1))
        drawn = rng.choice((-1, 0, 1), size=80, p=shares)
        ends = [
            es.difference_sequence(int((drawn[:n] > 0).sum()), int((drawn[:n] < 0).sum()), n) for n in (10, 20, 40, 80)
        ]
        kept.append(all(low <= shares[2] - shares[0] <= high for low, high in ends))
    return kept


def equal_pairs(rng: Rng, n: int) -> tuple[list[bool], list[bool]]:
    """Two equally good policies on scenes of different difficulty, drawn anew for each experiment."""
    shape = rng.uniform(0.3, 3.0, 2)
    hard = rng.beta(*shape, size=n)
    return list(rng.random(n) < hard), list(rng.random(n) < hard)


def mcnemar(rng: Rng, repeats: int) -> Kept:
    """One exact test after 50 pairs."""
    return [es.verdict_paired(*equal_pairs(rng, 50)).p_value > 0.05 for _ in range(repeats)]


def verdicts(rng: Rng, repeats: int) -> Kept:
    """The verdict that decides about bold print, after 20 to 100 pairs."""
    sizes = rng.choice((20, 50, 100), repeats)
    return [not es.verdict_paired(*equal_pairs(rng, int(n))).distinguishable for n in sizes]


def peeking(rng: Rng, repeats: int) -> Kept:
    """The mistake: McNemar's test after every one of 100 pairs, until it is significant."""
    kept = []
    for _ in range(repeats):
        first, second = map(np.array, equal_pairs(rng, 100))
        gain, loss = (second & ~first).cumsum(), (first & ~second).cumsum()
        looks = {(int(g), int(lo)) for g, lo in zip(gain, loss, strict=True)}
        kept.append(all(es.mcnemar_exact(lo, g) > 0.05 for g, lo in looks))
    return kept


def race(rng: Rng, repeats: int) -> Kept:
    """A race of at most 100 pairs, looked at after every pair."""
    return [es.run_race(zip(*equal_pairs(rng, 100), strict=True), 100).winner is None for _ in range(repeats)]


def evidence(rng: Rng, repeats: int) -> Kept:
    """The e-value, looked at after every one of 300 pairs that disagree."""
    gains = (rng.random((repeats, 300)) < 0.5).cumsum(1)
    table = np.array([[es.evidence(g, max(n - g, 0)) for g in range(301)] for n in range(1, 301)])
    return [bool((table[np.arange(300), row] < 20).all()) for row in gains]


def boschloo(rng: Rng, repeats: int) -> Kept:
    """Two independent arms of 30 episodes."""
    known: dict[tuple[int, int], float] = {}
    kept = []
    for truth in rng.uniform(0.05, 0.95, repeats):
        a, b = sorted(int(x) for x in rng.binomial(30, truth, 2))
        if (a, b) not in known:
            known[a, b] = es.boschloo(es.Rate(successes=a, n=30), es.Rate(successes=b, n=30))
        kept.append(known[a, b] > 0.05)
    return kept


def permutation(rng: Rng, repeats: int) -> Kept:
    """Means of skewed quantities (chain lengths 0 to 5) over 15 pairs."""
    kept = []
    for _ in range(repeats):
        ease = rng.uniform(0.2, 0.9, 15)
        first, second = (np.minimum(rng.geometric(1 - ease) - 1, 5) for _ in range(2))
        kept.append(es.paired_permutation(first, second, draws=499, seed=int(rng.integers(2**31))) > 0.05)
    return kept


def family(rng: Rng) -> tuple[list[float], list[bool]]:
    """P-values of ten comparisons of 60 pairs, seven of them between equals, and which those are."""
    p_values = []
    for better in [False] * 7 + [True] * 3:
        first, second = equal_pairs(rng, 60)
        second = list(rng.random(60) < 0.9) if better else second
        p_values.append(es.verdict_paired(first, second).p_value)
    return p_values, [True] * 7 + [False] * 3


def holm(rng: Rng, repeats: int) -> Kept:
    """No equal pair of ten comparisons is called different."""
    kept = []
    for _ in range(repeats):
        p_values, equal = family(rng)
        kept.append(not any(p <= 0.05 and null for p, null in zip(es.holm(p_values), equal, strict=True)))
    return kept


def uncorrected(rng: Rng, repeats: int) -> Kept:
    """The mistake: the same ten p-values taken one by one."""
    found = (family(rng) for _ in range(repeats))
    return [not any(p <= 0.05 and null for p, null in zip(*one, strict=True)) for one in found]


def false_discoveries(rng: Rng, repeats: int) -> dict[str, float]:
    """Mean share of false claims among the claims after Benjamini and Hochberg; promised: at most 5 % times 7/10."""
    shares = []
    for _ in range(repeats):
        p_values, equal = family(rng)
        claimed = [null for p, null in zip(es.benjamini_hochberg(p_values), equal, strict=True) if p <= 0.05]
        shares.append(sum(claimed) / max(1, len(claimed)))
    mean, interval = es.mean_interval(shares)
    return {"false_discovery_rate": mean, "interval": list(interval), "n": repeats, "promised": 0.05}


def ranks(rng: Rng, repeats: int) -> Kept:
    """All ranks of five policies, two of them equal, inside their intervals at once; 40 scenes shared by all."""
    truths = {"a": 0.85, "b": 0.7, "c": 0.7, "d": 0.5, "e": 0.2}
    true = {
        n: (1 + sum(q > p for q in truths.values()), sum(q >= p for q in truths.values())) for n, p in truths.items()
    }
    kept = []
    for _ in range(repeats):
        outcomes = {name: dict(enumerate(rng.random(40) < p)) for name, p in truths.items()}
        standings = es.rank_table(outcomes).standings
        kept.append(all(s.ranks[0] <= true[s.name][0] and true[s.name][1] <= s.ranks[1] for s in standings))
    return kept


def bold(rng: Rng, repeats: int) -> Kept:
    """Of four equal policies none stands alone in front: nothing is set in bold."""
    kept = []
    for _ in range(repeats):
        hard = rng.beta(1, 1, 40)
        outcomes = {name: dict(enumerate(rng.random(40) < hard)) for name in "abcd"}
        kept.append(not any(s.alone for s in es.rank_table(outcomes).standings))
    return kept


def stopping(rng: Rng, repeats: int) -> list[dict[str, float]]:
    """Power and mean number of pairs: a race of at most 100, the e-value, one test after 100."""
    rows = []
    for first_rate, second_rate in ((0.5, 0.9), (0.5, 0.75), (0.7, 0.85), (0.5, 0.6)):
        race_won, race_n, bet_won, bet_n, fixed = [], [], [], [], []
        for _ in range(repeats):
            first, second = rng.random(100) < first_rate, rng.random(100) < second_rate
            ended = es.run_race(zip(first, second, strict=True), 100)
            race_won.append(ended.winner == "second")
            race_n.append(ended.n)
            gain, loss = (second & ~first).cumsum(), (first & ~second).cumsum()
            rich = [i for i in range(100) if es.evidence(int(gain[i]), int(loss[i])) >= 20]
            bet_won.append(bool(rich) and gain[rich[0]] > loss[rich[0]])
            bet_n.append(rich[0] + 1 if rich else 100)
            fixed.append(es.mcnemar_exact(int(loss[-1]), int(gain[-1])) <= 0.05)
        row = {"race_power": race_won, "race_pairs": race_n, "e_value_power": bet_won, "e_value_pairs": bet_n}
        means = {name: float(np.mean(values)) for name, values in {**row, "fixed_100_power": fixed}.items()}
        rows.append({"first": first_rate, "second": second_rate, "n": repeats, **means})
    return rows


CHECKS: Mapping[str, tuple[Callable[[Rng, int], Kept], int]] = {
    "wilson": (lambda rng, n: rate_intervals(es.wilson, rng, n), 40_000),
    "clopper_pearson": (lambda rng, n: rate_intervals(es.clopper_pearson, rng, n), 40_000),
    "paired_difference": (paired_interval, 4_000),
    "unpaired_difference": (unpaired_interval, 10_000),
    "mean_over_these_tasks": (task_means("these"), 4_000),
    "mean_over_such_tasks": (task_means("such"), 8_000),
    "rate_sequence": (sequence_of_rates, 10_000),
    "difference_sequence": (sequence_of_differences, 400),
    "mcnemar": (mcnemar, 4_000),
    "verdict": (verdicts, 2_000),
    "boschloo": (boschloo, 20_000),
    "paired_permutation": (permutation, 2_000),
    "race": (race, 4_000),
    "evidence": (evidence, 10_000),
    "holm": (holm, 1_000),
    "rank_table": (ranks, 800),
    "bold": (bold, 800),
}
CONTROLS: Mapping[str, tuple[Callable[[Rng, int], Kept], int]] = {
    "wald": (lambda rng, n: rate_intervals(wald, rng, n), 40_000),
    "peeking": (peeking, 1_000),
    "uncorrected": (uncorrected, 500),
}


def simulate(share: float, seed: int) -> Iterator[tuple[str, es.Rate]]:
    """Every check and control with `share` of its full number of experiments."""
    for name, (check, repeats) in {**CHECKS, **CONTROLS}.items():
        yield name, es.rate_of(check(generator(seed, "statistics", name), max(20, round(share * repeats))))


def main() -> None:
    """Simulate everything and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the full number of experiments")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("results/statistics.json"))
    options = parser.parse_args()
    started = time.process_time()
    total = len(CHECKS) + len(CONTROLS)
    found = {
        name: rate_entry(rate) for name, rate in track(simulate(options.share, options.seed), "checks", total=total)
    }
    rng = generator(options.seed, "statistics", "more")
    more = {
        "exact_coverage": {"wilson": exact_coverage(es.wilson), "clopper_pearson": exact_coverage(es.clopper_pearson)},
        "benjamini_hochberg": false_discoveries(rng, max(20, round(500 * options.share))),
        "stopping": stopping(rng, max(20, round(300 * options.share))),
    }
    report = {
        **{key: found["wilson"][key] for key in ("success_rate", "n", "interval")},
        "controls": {name: found[name] for name in CONTROLS},
        "per_task": {name: found[name] for name in CHECKS},
        "seconds": time.process_time() - started,
        "seed": options.seed,
        "notes": [
            "A success is a simulated experiment that kept the promise of 95 %; success_rate is Wilson's coverage.",
            "Clopper-Pearson, Boschloo, McNemar and the permutation test are conservative by construction: outcomes "
            "are counts, so the error that is promised can rarely be spent to the last bit.",
            "The confidence sequences and the e-value hold at every moment for ever and so err far less within a "
            "hundred episodes; rank tables are corrected over all pairs.",
            "Controls are procedures known to be wrong; they must fall below 95 %.",
        ],
        **run_facts("python benchmarks/statistics_coverage.py"),
    }
    write_result(options.out, report, **more)


if __name__ == "__main__":
    main()
