"""Exact tests: of two rates on the same episodes, of two rates on different ones, and of paired means.

McNemar's test looks only at the pairs that disagree. Boschloo's is for arms that share no seeds; on either side it is
never weaker than Fisher's. Both hold their level for every n, however small.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from embodia.core.errors import ConfigError
from embodia.evaluation.statistics.intervals import Interval, Rate, check_counts

MOST_TABLES = 40_000
"""Boschloo's test visits every table of two arms; beyond this many, Fisher's is taken, which then hardly differs."""


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Two-sided exact McNemar p-value of the discordant pairs; 1 when there are none."""
    discordant = only_first + only_second
    check_counts(only_first, discordant)
    if discordant == 0:
        return 1.0
    tail = float(stats.binom.cdf(min(only_first, only_second), discordant, 0.5))
    return min(1.0, 2 * tail)


def boschloo(first: Rate, second: Rate) -> float:
    """Two-sided p-value of Boschloo's exact test (1970) for independent arms; 1 when an arm is empty."""
    return 1.0 if _speechless(first, second) else min(1.0, float(stats.boschloo_exact(_table(first, second)).pvalue))


def barnard(first: Rate, second: Rate) -> float:
    """Two-sided p-value of Barnard's exact test (1947) with the pooled score; 1 when an arm is empty."""
    return 1.0 if _speechless(first, second) else min(1.0, float(stats.barnard_exact(_table(first, second)).pvalue))


def fisher(first: Rate, second: Rate) -> float:
    """Two-sided p-value of Fisher's exact test, conditional on all sums and thus conservative."""
    return float(stats.fisher_exact(_table(first, second))[1])


def unpaired_exact(first: Rate, second: Rate) -> float:
    """Boschloo's p-value, or Fisher's where there are more than `MOST_TABLES` tables to visit."""
    return boschloo(first, second) if (first.n + 1) * (second.n + 1) <= MOST_TABLES else fisher(first, second)


def paired_permutation(first: Sequence[float], second: Sequence[float], draws: int = 9_999, seed: int = 0) -> float:
    """Two-sided p-value for the mean of second - first over the same episodes, by swapping the arms within pairs.

    For quantities that are no success: chain lengths, steps, returns, forces. All swaps are tried where there are no
    more than `draws` of them, otherwise as many are drawn at random (the p-value then counts the data as one draw).
    Raises `ConfigError` for lists of different length.
    """
    difference = _paired(first, second)
    if len(difference) < 2 or not np.any(difference):
        return 1.0
    found: Any = stats.permutation_test(
        (difference, np.zeros_like(difference)),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=draws,
        batch=1_000,
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def paired_mean(first: Sequence[float], second: Sequence[float], confidence: float = 0.95) -> tuple[float, Interval]:
    """Mean of second - first over the same episodes and Student's interval; all of the line for fewer than two."""
    difference = _paired(first, second)
    return mean_interval(difference, confidence)


def mean_interval(values: Sequence[float] | Any, confidence: float = 0.95) -> tuple[float, Interval]:
    """Mean and Student's t interval of independent values; nothing is known of the spread of fewer than two."""
    array = np.asarray(values, dtype=float)
    mean = float(array.mean()) if len(array) else 0.0
    if len(array) < 2:
        return mean, (-np.inf, np.inf)
    half = float(stats.t.ppf(0.5 + confidence / 2, len(array) - 1) * stats.sem(array))
    return mean, (mean - half, mean + half)


def _paired(first: Sequence[float], second: Sequence[float]) -> Any:
    if len(first) != len(second):
        raise ConfigError(f"{len(first)} values against {len(second)} are no pairs", leaf="second")
    return np.asarray(second, dtype=float) - np.asarray(first, dtype=float)


def _table(first: Rate, second: Rate) -> list[list[int]]:
    return [[rate.successes, rate.n - rate.successes] for rate in (first, second)]


def _speechless(first: Rate, second: Rate) -> bool:
    """Whether an arm is empty or all episodes of both ended alike: then nothing can differ."""
    return not first.n or not second.n or first.successes + second.successes in (0, first.n + second.n)
