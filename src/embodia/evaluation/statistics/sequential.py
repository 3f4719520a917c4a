"""Compare two policies pair by pair and stop as soon as they are told apart, with the promised error all the same.

A p-value that is looked at after every episode is wrong far more often than it says. Two ways out, both exact:
`Race` knows the largest number of pairs beforehand and spends the level along the way, so that little power is lost
against one test at the end; `evidence` (an e-value) and the confidence sequences hold at every moment, for ever, with
no largest number at all, and are wider for it. Both look only at pairs that disagree: under equal policies each of them
is a fair coin, whatever the tasks, the success rates and the way in which the two arms depend on one another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import optimize, special

from embodia.core.errors import ConfigError
from embodia.evaluation.statistics.intervals import ALPHA, Interval, check_counts

_STAKES = np.concatenate([np.linspace(0.05, 0.99, 24), np.geomspace(1e-3, 0.045, 12)])
_BETS = np.concatenate([_STAKES, -_STAKES])
_BETS.flags.writeable = False


@dataclass(frozen=True, kw_only=True)
class Race:
    """A paired comparison under way; `begin` starts it, `advance` adds one pair.

    most       pairs after which it ends undecided
    alpha      chance that it names a winner between two equal policies, at most
    early      exponent of the spending alpha * (n / most) ** early: 1 spends evenly, larger ones save for the end
    gain, loss pairs that only the second, or only the first, policy solved
    alive      probability, for equal policies, of each lead -most..most among the courses not stopped so far
    decided    pairs after which the winner was named; None while it is open
    """

    most: int
    alpha: float
    early: float
    n: int
    gain: int
    loss: int
    alive: Any
    decided: int | None = None

    @property
    def lead(self) -> int:
        """Pairs by which the second policy is ahead."""
        return self.gain - self.loss

    @property
    def over(self) -> bool:
        """Whether a further pair would tell nothing."""
        return self.decided is not None or self.n >= self.most

    @property
    def winner(self) -> str | None:
        """ "first", "second", or None: not told apart (yet)."""
        if self.decided is None:
            return None
        return "second" if self.lead > 0 else "first"

    @property
    def text(self) -> str:
        """One sentence."""
        counts = f"{self.gain} pairs won by the second, {self.loss} by the first, of {self.n}"
        if self.decided is not None:
            return f"told apart after {self.decided} pairs: the {self.winner} is better ({counts})"
        return f"{'not told apart' if self.over else 'still open'}: {counts}, at most {self.most}"


def begin(most: int, alpha: float = ALPHA, early: float = 1.0) -> Race:
    """A race over at most `most` pairs. Raises `ConfigError` for numbers that make no test."""
    if most < 1 or not 0 < alpha < 1 or early <= 0:
        raise ConfigError(f"no test has at most {most} pairs, level {alpha}, spending {early}", leaf="most")
    alive = np.zeros(2 * most + 1)
    alive[most] = 1.0
    return Race(most=most, alpha=alpha, early=early, n=0, gain=0, loss=0, alive=alive)


def advance(race: Race, first: bool, second: bool) -> Race:
    """The race after one more pair; unchanged when it is over.

    The signs of disagreeing pairs are fair coins given *which* pairs disagree, so the law of the lead is known exactly
    and the boundary may depend on when the disagreements came. Error spending as of Lan and DeMets (1983).
    """
    if race.over:
        return race
    gain, loss, n = race.gain + (second and not first), race.loss + (first and not second), race.n + 1
    alive = _stepped(race.alive) if bool(first) != bool(second) else race.alive
    budget = race.alpha * (n / race.most) ** race.early - (1.0 - float(race.alive.sum()))
    bound = _boundary(alive, budget)
    alive = np.where(np.abs(np.arange(-race.most, race.most + 1)) >= bound, 0.0, alive)
    decided = n if abs(gain - loss) >= bound else None
    return replace(race, n=n, gain=gain, loss=loss, alive=alive, decided=decided)


def run_race(pairs: Iterable[tuple[bool, bool]], most: int, alpha: float = ALPHA, early: float = 1.0) -> Race:
    """Pairs one after the other until the race is over; not one pair more is drawn from `pairs` than needed."""
    race = begin(most, alpha, early)
    source = iter(pairs)
    while not race.over:
        pair = next(source, None)
        if pair is None:
            break
        race = advance(race, *pair)
    return race


def evidence(gain: int, loss: int) -> float:
    """The e-value against "equal": wealth of a bettor on disagreeing pairs who starts with 1.

    A mixture over all biases with Jeffreys' weights (Robbins 1970). For equal policies the chance that it *ever*
    reaches 1 / alpha is at most alpha, so one may look after every pair and stop at will. May be infinite.
    """
    check_counts(gain, gain + loss)
    log_wealth = special.betaln(gain + 0.5, loss + 0.5) - special.betaln(0.5, 0.5) + (gain + loss) * math.log(2)
    return float(np.exp(min(log_wealth, 700.0)))


def rate_sequence(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Confidence sequence of one rate: holds for all n at once with this confidence; (0, 1) for n = 0."""
    check_counts(successes, n)

    def log_wealth(rate: float) -> float:
        mixture = special.betaln(successes + 0.5, n - successes + 0.5) - special.betaln(0.5, 0.5)
        return float(mixture - special.xlogy(successes, rate) - special.xlogy(n - successes, 1 - rate))

    return _where_poor(log_wealth, successes / n if n else 0.5, (0.0, 1.0), 1 - confidence)


def difference_sequence(gain: int, loss: int, n: int, confidence: float = 0.95) -> Interval:
    """Confidence sequence of rate(second) - rate(first) over n pairs: holds for all n at once; (-1, 1) for n = 0.

    Bets on each pair's outcome (-1, 0 or 1) with a mixture of stakes, after Waudby-Smith and Ramdas (2024): valid for
    any joint law of the pairs whose mean stays the same, for the running average of the means otherwise.
    """
    check_counts(gain + loss, n)
    counts = np.array([loss, n - gain - loss, gain], dtype=float)

    def log_wealth(mean: float) -> float:
        stakes = np.where(_BETS > 0, _BETS / (1 + mean + 1e-12), _BETS / (1 - mean + 1e-12))
        growth = np.log1p(stakes[:, None] * (np.array([-1.0, 0.0, 1.0]) - mean))
        return float(special.logsumexp(growth @ counts) - math.log(len(_BETS)))

    edge = 1 - 1e-9
    return _where_poor(log_wealth, (gain - loss) / n if n else 0.0, (-edge, edge), 1 - confidence)


def _stepped(alive: Any) -> Any:
    """The law of the lead after one more fair coin."""
    moved = np.zeros_like(alive)
    moved[1:] += 0.5 * alive[:-1]
    moved[:-1] += 0.5 * alive[1:]
    return moved


def _boundary(alive: Any, budget: float) -> float:
    """The smallest absolute lead from which everything outward weighs no more than `budget`; infinite if there is none.

    Leads that equal policies cannot have reached undecided weigh nothing and are left inside.
    """
    most = len(alive) // 2
    two_sided = alive[most:] + alive[most::-1]
    two_sided[0] /= 2
    outward = np.cumsum(two_sided[::-1])[::-1]
    inside = np.nonzero((outward <= budget + 1e-15) & (outward > 0))[0]
    return float(inside[0]) if len(inside) and inside[0] > 0 else math.inf


def _where_poor(log_wealth: Callable[[float], float], estimate: float, ends: Interval, alpha: float) -> Interval:
    """The values around the estimate at which a bettor has not yet earned 1 / alpha."""
    limit = -math.log(alpha)

    def edge(end: float) -> float:
        if abs(end - estimate) < 1e-8 or log_wealth(end) < limit:
            return end
        inside = estimate
        return float(optimize.brentq(lambda x: log_wealth(x) - limit, *sorted((end, inside)), xtol=1e-10))

    return _rounded(edge(ends[0])), _rounded(edge(ends[1]))


def _rounded(value: float) -> float:
    return max(-1.0, min(1.0, round(value, 7)))
