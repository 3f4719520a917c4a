"""The in-distribution / out-of-distribution table: rates with intervals, paired losses, corrected over the family.

A shift holds the outcomes of plain and shifted episodes of equal seeds in the same order. The one thing to watch: a
shift that applied to no episode stays in the table with n = 0, so that nobody takes it for passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from embodia.core.errors import ConfigError
from embodia.evaluation.statistics import Rate, Verdict, corrected, mean_over_tasks, rate_of, verdict_paired
from embodia.evaluation.summary import rate_entry, verdict_entry


@dataclass(frozen=True, kw_only=True)
class Shift:
    """One change: its name, the group it counts for, what it changes in words, and the outcomes.

    `intended` says for shifted episodes whether the right thing was gone for; None where that was not watched.
    """

    name: str
    group: str
    title: str
    plain: tuple[bool, ...] = ()
    shifted: tuple[bool, ...] = ()
    intended: tuple[bool, ...] | None = None

    def __post_init__(self) -> None:
        if len(self.plain) != len(self.shifted):
            raise ConfigError(f"{len(self.plain)} plain against {len(self.shifted)} shifted episodes", leaf=self.name)

    @property
    def rate(self) -> Rate:
        """Success under the shift."""
        return rate_of(self.shifted)

    @property
    def verdict(self) -> Verdict:
        """Shifted against plain, uncorrected."""
        return verdict_paired(self.plain, self.shifted)


def table(shifts: Sequence[Shift]) -> list[dict[str, Any]]:
    """One row a shift; p-values are Holm-corrected over the shifts that were played."""
    played = [shift for shift in shifts if shift.plain]
    verdicts = dict(zip((s.name for s in played), corrected([s.verdict for s in played]), strict=True))
    return [_row(shift, verdicts.get(shift.name)) for shift in shifts]


def groups(shifts: Sequence[Shift], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The mean over the shifts of each group, with an interval over shifts like these; n = 0 for groups not played."""
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        rates = [shift.rate for shift in shifts if shift.group == name and shift.shifted]
        if not rates:
            found[name] = {"success_rate": 0.0, "n": 0, "interval": [0.0, 1.0], "shifts": 0}
            continue
        mean = mean_over_tasks(rates, over="such" if len(rates) > 1 else "these")
        found[name] = {
            "success_rate": mean.value,
            "n": mean.n,
            "interval": list(mean.interval),
            "shifts": mean.tasks,
        }
    return found


def _row(shift: Shift, verdict: Verdict | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": shift.name,
        "group": shift.group,
        "title": shift.title,
        "plain": rate_entry(rate_of(shift.plain)),
        "shifted": rate_entry(shift.rate),
    }
    if verdict is not None:
        row["verdict"] = verdict_entry(verdict)
    if shift.intended is not None:
        row["intended"] = rate_entry(rate_of(shift.intended))
    return row
