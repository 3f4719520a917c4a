"""Intervals for the difference of two rates, paired (the same episodes in both arms) and unpaired.

Watch out for pairing: the same seeds in both arms make the paired interval right and the unpaired one wasteful; other
seeds make the paired one wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy import optimize, stats

from embodia.evaluation.statistics.intervals import Interval, Rate, check_counts, wilson


def paired_difference(only_first: int, only_second: int, n: int, confidence: float = 0.95) -> Interval:
    """Score interval of Tango (1998) for rate(second) - rate(first) over n pairs; (-1, 1) for n = 0."""
    check_counts(only_first + only_second, n)
    if n == 0:
        return -1.0, 1.0
    z = float(stats.norm.ppf(0.5 + confidence / 2))
    estimate = (only_second - only_first) / n

    def excess(delta: float, sign: float) -> float:
        return sign * _tango(only_second, only_first, n, delta) - z

    edge = 1 - 1e-9
    low = _root(lambda delta: excess(delta, 1.0), -edge, estimate)
    high = _root(lambda delta: excess(delta, -1.0), edge, estimate)
    return low, high


def unpaired_difference(first: Rate, second: Rate, confidence: float = 0.95) -> Interval:
    """Newcombe's hybrid score interval (1998, method 10) for rate(second) - rate(first) of independent episodes."""
    a, b = first.value, second.value
    (a_low, a_high), (b_low, b_high) = (wilson(rate.successes, rate.n, confidence) for rate in (first, second))
    if not first.n or not second.n:
        return -1.0, 1.0
    low = b - a - math.hypot(b - b_low, a_high - a)
    high = b - a + math.hypot(b_high - b, a - a_low)
    return max(-1.0, low), min(1.0, high)


def _tango(b: int, c: int, n: int, delta: float) -> float:
    """The score statistic of `b` gains and `c` losses for a true difference `delta`."""
    linear = -b - c + (2 * n - b + c) * delta
    nuisance = (math.sqrt(max(0.0, linear**2 + 8 * n * c * delta * (1 - delta))) - linear) / (4 * n)
    variance = n * (2 * nuisance + delta * (1 - delta))
    return (b - c - n * delta) / math.sqrt(max(variance, 1e-300))


def _root(function: Callable[[float], float], edge: float, estimate: float) -> float:
    """Where the score crosses its critical value between the estimate and an edge; the edge when it never does."""
    if abs(edge - estimate) < 1e-8 or function(edge) < 0:
        return math.copysign(1.0, edge)
    return float(optimize.brentq(function, *sorted((edge, estimate)), xtol=1e-12))
