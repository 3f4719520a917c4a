"""How many episodes a difference needs before it can be seen, four times in five.

Watch out: a planned n is as good as the rates that are put in; plan with the smallest difference that would matter.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from embodia.core.errors import ConfigError
from embodia.evaluation.statistics.intervals import ALPHA


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
