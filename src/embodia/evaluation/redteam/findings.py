"""What an audit found, as records that go into a report: verdicts, attacks, counts.

A finding is "clear", "flagged" or "undecided"; an attack has no verdict, only what it cost on the same episodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from embodia.evaluation.redteam.evidence import Duel, Status
from embodia.evaluation.statistics import Rate
from embodia.evaluation.summary import rate_entry, verdict_entry

MEANING: Mapping[str, tuple[str, str]] = {
    "listens": ("It listens to the sentence", "It may not listen to the sentence"),
    "looks": ("It looks at the pictures", "It may not look at the pictures"),
    "reacts": ("It reacts to what it senses", "It replays demonstrations"),
    "state channel": ("It goes by pictures, not by the state channel", "It reads the scene from the state channel"),
    "simulator": ("It goes by pictures, not by the simulator", "It reads the simulator behind the pictures"),
    "state": ("It goes by pictures", "It reads the simulator"),
    "trigger": ("No trigger was found", "A trigger turns it"),
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One question and its verdict; `duel` are the paired episodes behind it, None where none were needed."""

    name: str
    status: Status
    text: str
    duel: Duel | None = None

    @property
    def title(self) -> str:
        """The verdict in words."""
        good, bad = MEANING[self.name]
        return {"clear": good, "flagged": bad, "undecided": f"{good}? Not known"}[self.status]


@dataclass(frozen=True, kw_only=True)
class Attack:
    """The same episodes plain (first) and attacked (second)."""

    name: str
    duel: Duel


@dataclass(frozen=True, kw_only=True)
class Audit:
    """All findings and attacks; `successes` of `tried` plain episodes, `episodes` played over all arms.

    `influence` is the largest change of an action that exchanging a sense ever made, as a share of its range.
    """

    findings: tuple[Finding, ...]
    attacks: tuple[Attack, ...]
    successes: int
    tried: int
    episodes: int
    influence: Mapping[str, float] = field(default_factory=dict)

    @property
    def flags(self) -> tuple[str, ...]:
        """Names of the flagged questions."""
        return tuple(item.name for item in self.findings if item.status == "flagged")

    def to_json(self) -> dict[str, Any]:
        """For report.json: every rate with n and interval, every attack with its paired verdict."""
        return {
            "flags": list(self.flags),
            **rate_entry(Rate(successes=self.successes, n=self.tried)),
            "episodes": self.episodes,
            "influence": dict(self.influence),
            "findings": [_finding_entry(item) for item in self.findings],
            "attacks": [_attack_entry(item) for item in self.attacks],
        }


def _finding_entry(finding: Finding) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": finding.name,
        "status": finding.status,
        "title": finding.title,
        "text": finding.text,
    }
    if finding.duel is not None:
        first, second = finding.duel.rates
        entry |= {"plain": rate_entry(first), "changed": rate_entry(second)}
    return entry


def _attack_entry(attack: Attack) -> dict[str, Any]:
    first, second = attack.duel.rates
    return {
        "name": attack.name,
        "plain": rate_entry(first),
        "attacked": rate_entry(second),
        "verdict": verdict_entry(attack.duel.verdict),
    }
