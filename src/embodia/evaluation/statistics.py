"""Intervals and tests for success counts: what may be said about n episodes, and how many it takes to say more.

Success is a coin with an unknown bias, so no rate leaves this house without its n and its interval, and two rates are
called different only when an exact test on paired episodes says so. Watch out for pairing: the same seeds in both arms
make the paired functions right and the unpaired ones wasteful; other seeds make the paired ones wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize, stats

from embodia.core.errors import ConfigError

ALPHA = 0.05
"""Level of every test."""

Interval = tuple[float, float]
"""Lower and upper end, both included."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """`successes` out of `n` episodes with its 95 % Wilson interval; `n` may be 0, then nothing is known."""

    successes: int
    n: int

    def __post_init__(self) -> None:
        _check_counts(self.successes, self.n)

    @property
    def value(self) -> float:
        """Successes over n, 0 where nothing was tried."""
        return self.successes / self.n if self.n else 0.0

    @property
    def interval(self) -> Interval:
        """The 95 % Wilson interval."""
        return wilson(self.successes, self.n)

    @property
    def text(self) -> str:
        """For people: "37/40 = 92 % (80-97)", and the bound 3/N where no episode, or every episode, succeeded."""
        if self.n == 0:
            return "not tried"
        bound = bound_text(self.successes, self.n)
        low, high = self.interval
        tail = f"({bound})" if bound else f"({_percent(low)}-{_percent(high)})"
        return f"{self.successes}/{self.n} = {_percent(self.value)} % {tail}"


def rate_of(outcomes: Sequence[bool]) -> Rate:
    """The rate of a list of outcomes."""
    return Rate(successes=sum(map(bool, outcomes)), n=len(outcomes))


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval (1927): near-nominal coverage on average, sensible at 0 and n; (0, 1) for n = 0."""
    _check_counts(successes, n)
    if n == 0:
        return 0.0, 1.0
    z2 = float(stats.norm.ppf(0.5 + confidence / 2)) ** 2
    centre = (successes + z2 / 2) / (n + z2)
    half = math.sqrt(z2 * (successes * (n - successes) / n + z2 / 4)) / (n + z2)
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


def clopper_pearson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """The exact interval of Clopper and Pearson (1934): never covers less than `confidence`, hence wider."""
    _check_counts(successes, n)
    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else float(stats.beta.ppf(tail, successes, n - successes + 1))
    high = 1.0 if successes == n else float(stats.beta.ppf(1 - tail, successes + 1, n - successes))
    return low, high


def bound_text(successes: int, n: int) -> str | None:
    """The rule of three for zero successes ("at most 15 %, 3/N") or zero failures; None for anything between.

    3/N is the 95 % one-sided bound to first order; for n <= 3 it says nothing and the exact bound 1 - 0.05^(1/n) is
    given instead.
    """
    _check_counts(successes, n)
    if n == 0 or 0 < successes < n:
        return None
    bound, name = (3 / n, "3/N") if n > 3 else (1 - 0.05 ** (1 / n), "exact")
    if successes == 0:
        return f"at most {_percent(bound)} %, {name}"
    return f"at least {_percent(1 - bound)} %, {'1 - 3/N' if n > 3 else name}"


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Two-sided exact McNemar p-value of the discordant pairs; 1 when there are none."""
    discordant = only_first + only_second
    _check_counts(only_first, discordant)
    if discordant == 0:
        return 1.0
    tail = float(stats.binom.cdf(min(only_first, only_second), discordant, 0.5))
    return min(1.0, 2 * tail)


def paired_difference(only_first: int, only_second: int, n: int, confidence: float = 0.95) -> Interval:
    """Score interval of Tango (1998) for rate(second) - rate(first) over n pairs; (-1, 1) for n = 0."""
    _check_counts(only_first + only_second, n)
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


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's step-down adjusted p-values, in the order given: compare each with alpha as if it were alone."""
    m = len(p_values)
    adjusted, running = [0.0] * m, 0.0
    for rank, index in enumerate(sorted(range(m), key=lambda i: p_values[i])):
        running = max(running, (m - rank) * p_values[index])
        adjusted[index] = min(1.0, running)
    return tuple(adjusted)


def planned_n_unpaired(first: float, second: float, power: float = 0.8, alpha: float = ALPHA) -> int:
    """Episodes *per arm* to tell two independent rates apart (normal approximation with pooled null variance)."""
    if first == second:
        raise ConfigError("equal rates are never told apart: give a difference", leaf="second")
    z_alpha, z_power = float(stats.norm.isf(alpha / 2)), float(stats.norm.ppf(power))
    pooled = (first + second) / 2
    spread = z_alpha * math.sqrt(2 * pooled * (1 - pooled))
    spread += z_power * math.sqrt(first * (1 - first) + second * (1 - second))
    return math.ceil((spread / (second - first)) ** 2)


def planned_n_paired(gain: float, loss: float, power: float = 0.8, alpha: float = ALPHA) -> int:
    """Pairs that the exact McNemar test needs.

    `gain` is the share of pairs that only the second arm solves, `loss` the share that only the first solves. Starts
    from Connor's formula (1987), which is right for the asymptotic test, and grows until the exact power is reached.
    """
    if gain == loss or min(gain, loss) < 0 or gain + loss > 1:
        raise ConfigError(f"gain {gain} and loss {loss} must be different shares of all pairs", leaf="gain")
    z_alpha, z_power = float(stats.norm.isf(alpha / 2)), float(stats.norm.ppf(power))
    discordant, difference = gain + loss, gain - loss
    root = z_alpha * math.sqrt(discordant) + z_power * math.sqrt(max(0.0, discordant - difference**2))
    n = max(1, math.ceil((root / difference) ** 2))
    while paired_power(gain, loss, n, alpha) < power:
        n += max(1, n // 100)
    return n


def paired_power(gain: float, loss: float, n: int, alpha: float = ALPHA) -> float:
    """Probability that the exact McNemar test on n pairs rejects, summed over the number of discordant pairs."""
    discordant = gain + loss
    spread = 10 * math.sqrt(n * discordant * (1 - discordant)) + 1
    first = max(0, math.floor(n * discordant - spread))
    counts = np.arange(first, min(n, math.ceil(n * discordant + spread)) + 1)
    critical = stats.binom.ppf(alpha / 2, counts, 0.5)
    critical = np.where(stats.binom.cdf(critical, counts, 0.5) > alpha / 2, critical - 1, critical)
    share = gain / discordant
    reject = stats.binom.cdf(critical, counts, share) + stats.binom.sf(counts - critical - 1, counts, share)
    return float(np.sum(stats.binom.pmf(counts, n, discordant) * reject))


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What may be said about second minus first.

    `difference` and `interval` are shares of episodes; `p_value` is already corrected when several comparisons were
    made at once; `distinguishable` needs both a small p-value and an interval without zero. `gain` and `loss` are the
    shares of pairs that only the second, or only the first, arm solved; None without pairs.
    """

    first: Rate
    second: Rate
    difference: float
    interval: Interval
    p_value: float
    gain: float | None = None
    loss: float | None = None

    @property
    def paired(self) -> bool:
        """Whether both arms ran the same episodes."""
        return self.gain is not None

    @property
    def distinguishable(self) -> bool:
        """Whether the difference is more than chance, at the 5 % level."""
        return self.p_value <= ALPHA and not self.interval[0] <= 0 <= self.interval[1]

    @property
    def planned_n(self) -> int | None:
        """Episodes per arm at which a true difference of this size is seen four times in five.

        None when there is no difference to plan for, or it has been seen already.
        """
        if self.distinguishable or self.difference == 0:
            return None
        if self.gain is not None and self.loss is not None:
            return planned_n_paired(self.gain, self.loss)
        return planned_n_unpaired(self.first.value, self.second.value)

    @property
    def text(self) -> str:
        """One sentence; the default answer is "not distinguishable"."""
        low, high = self.interval
        span = f"{100 * low:+.0f} to {100 * high:+.0f}"
        points = f"{100 * self.difference:+.0f} points ({span}), p {p_text(self.p_value)}"
        if self.distinguishable:
            return f"{'higher' if self.difference > 0 else 'lower'} by {points}"
        need = f"; about {self.planned_n} episodes each would show it" if self.planned_n else ""
        return f"not distinguishable: {points}{need}"


def verdict_paired(first: Sequence[bool], second: Sequence[bool]) -> Verdict:
    """Compare two arms that ran the same episodes, in the same order; `ConfigError` for lists of different length."""
    if len(first) != len(second):
        raise ConfigError(f"{len(first)} outcomes against {len(second)} are no pairs", leaf="second")
    n = len(first)
    loss = sum(bool(a) and not b for a, b in zip(first, second, strict=True))
    gain = sum(bool(b) and not a for a, b in zip(first, second, strict=True))
    return Verdict(
        first=rate_of(first),
        second=rate_of(second),
        difference=(gain - loss) / n if n else 0.0,
        interval=paired_difference(loss, gain, n),
        p_value=mcnemar_exact(loss, gain),
        gain=gain / n if n else 0.0,
        loss=loss / n if n else 0.0,
    )


def verdict_unpaired(first: Rate, second: Rate) -> Verdict:
    """Compare two arms that ran different episodes, by Fisher's exact test and Newcombe's interval."""
    table = [[rate.successes, rate.n - rate.successes] for rate in (first, second)]
    return Verdict(
        first=first,
        second=second,
        difference=second.value - first.value if first.n and second.n else 0.0,
        interval=unpaired_difference(first, second),
        p_value=float(stats.fisher_exact(table)[1]),
    )


def corrected(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """The same verdicts with Holm's correction over the family; more comparisons, fewer claims."""
    adjusted = holm([verdict.p_value for verdict in verdicts])
    return tuple(replace(v, p_value=p) for v, p in zip(verdicts, adjusted, strict=True))


def p_text(p_value: float) -> str:
    """A p-value for people: "= 0.012", and "< 0.001" below that."""
    return "< 0.001" if p_value < 0.001 else f"= {p_value:.3f}"


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


def _check_counts(successes: int, n: int) -> None:
    if not 0 <= successes <= n:
        raise ConfigError(f"{successes} successes of {n} episodes cannot be", leaf="successes")


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"
