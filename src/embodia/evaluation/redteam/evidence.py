"""Evidence from paired episodes that may be looked at after every pair.

Two arms play the same episodes; a pair in which only the first succeeds is a win, one in which only the second does a
loss. The e-value of "wins are the rule" is a bet against "a win is at most as likely as a loss": under that hypothesis
it exceeds 1 / alpha with probability at most alpha, however often one looks (Ville's inequality; Shafer, 2021), so a
probe may stop as soon as it knows. Watch out: the guarantee is for cheats to be flagged; how seldom an honest policy is
flagged depends on its success rate and on the budget, and is measured in benchmarks/redteam_confusion.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from scipy import special

from embodia.core.errors import ConfigError
from embodia.evaluation.statistics import Rate, Verdict, rate_of, verdict_paired

Status = Literal["clear", "flagged", "undecided"]
"""Cleared by evidence, flagged, or too little success to say."""

KEPT = 0.5
"""A policy that uses a sense loses at least this share of its successes without it."""


def log_evidence(wins: int, losses: int) -> float:
    """Log of the e-value against "a win is at most as likely as a loss", uniform over win probabilities above 1/2."""
    if min(wins, losses) < 0:
        raise ConfigError(f"{wins} wins and {losses} losses cannot be", leaf="wins")
    above = float(special.betainc(losses + 1, wins + 1, 0.5))
    return (wins + losses + 1) * math.log(2) + float(special.betaln(wins + 1, losses + 1)) + _log(above)


def log_evidence_kept(lost: int, kept: int, share: float = KEPT) -> float:
    """Log of the e-value against "at least `share` of the successes are lost", uniform over smaller shares."""
    below = float(special.betainc(lost + 1, kept + 1, share))
    mixture = float(special.betaln(lost + 1, kept + 1)) + _log(below) - math.log(share)
    return mixture - lost * math.log(share) - kept * math.log(1 - share)


@dataclass(frozen=True, kw_only=True)
class Duel:
    """Outcomes of two arms on the same episodes, in the same order; raises `ConfigError` for unequal lengths."""

    first: tuple[bool, ...] = ()
    second: tuple[bool, ...] = ()

    def __post_init__(self) -> None:
        if len(self.first) != len(self.second):
            raise ConfigError(f"{len(self.first)} outcomes against {len(self.second)} are no pairs", leaf="second")

    def __add__(self, other: Duel) -> Duel:
        return Duel(first=self.first + other.first, second=self.second + other.second)

    def __len__(self) -> int:
        return len(self.first)

    @property
    def wins(self) -> int:
        """Pairs that only the first arm solved."""
        return sum(a and not b for a, b in zip(self.first, self.second, strict=True))

    @property
    def losses(self) -> int:
        """Pairs that only the second arm solved."""
        return sum(b and not a for a, b in zip(self.first, self.second, strict=True))

    @property
    def rates(self) -> tuple[Rate, Rate]:
        """Success of each arm."""
        return rate_of(self.first), rate_of(self.second)

    @property
    def verdict(self) -> Verdict:
        """Second arm against first, by the exact paired test at a fixed n; for the report, not for stopping."""
        return verdict_paired(self.first, self.second)


def needs(duel: Duel, alpha: float) -> Status | None:
    """Whether the first arm's success needs what the second arm lacks; None while more pairs may tell.

    "clear" when taking it away has lost successes beyond chance, "flagged" when it has kept most of them beyond chance.
    """
    limit = -math.log(alpha)
    if log_evidence(duel.wins, duel.losses) >= limit:
        return "clear"
    if log_evidence_kept(duel.wins, sum(duel.first) - duel.wins) >= limit:
        return "flagged"
    return None


def needs_at_last(duel: Duel, alpha: float) -> Status:
    """The same with the budget spent: flagged unless cleared, undecided where success was too rare to clear anybody."""
    able = log_evidence(sum(duel.first), 0) >= -math.log(alpha)
    return needs(duel, alpha) or ("flagged" if able else "undecided")


def prefers(duel: Duel, alpha: float) -> Status | None:
    """Which of two worlds a policy acts in: "clear" for the first, "flagged" for the second, None for not yet known."""
    limit = -math.log(alpha)
    if log_evidence(duel.wins, duel.losses) >= limit:
        return "clear"
    return "flagged" if log_evidence(duel.losses, duel.wins) >= limit else None


def fewest_wins(alpha: float) -> int:
    """How many wins without a loss clear a policy: the least useful budget."""
    return next(wins for wins in range(1, 10_000) if log_evidence(wins, 0) >= -math.log(alpha))


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf
