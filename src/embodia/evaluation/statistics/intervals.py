"""Intervals for one rate: what may be said about n episodes.

Success is a coin with an unknown bias, so no rate leaves this house without its n and its interval. Wilson's interval
covers 95 % on average over rates and is the one that is printed; Clopper and Pearson's never covers less than 95 % and
is therefore wider: take it where a promise is made about each single rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

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
        check_counts(self.successes, self.n)

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
    check_counts(successes, n)
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
    check_counts(successes, n)
    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else float(stats.beta.ppf(tail, successes, n - successes + 1))
    high = 1.0 if successes == n else float(stats.beta.ppf(1 - tail, successes + 1, n - successes))
    return low, high


def bound_text(successes: int, n: int) -> str | None:
    """The rule of three for zero successes ("at most 15 %, 3/N") or zero failures; None for anything between.

    3/N is the 95 % one-sided bound to first order; for n <= 3 it says nothing and the exact bound 1 - 0.05^(1/n) is
    given instead.
    """
    check_counts(successes, n)
    if n == 0 or 0 < successes < n:
        return None
    bound, name = (3 / n, "3/N") if n > 3 else (1 - 0.05 ** (1 / n), "exact")
    if successes == 0:
        return f"at most {_percent(bound)} %, {name}"
    return f"at least {_percent(1 - bound)} %, {'1 - 3/N' if n > 3 else name}"


def check_counts(successes: int, n: int) -> None:
    """Raise `ConfigError` for counts that cannot be."""
    if not 0 <= successes <= n:
        raise ConfigError(f"{successes} successes of {n} episodes cannot be", leaf="successes")


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"
