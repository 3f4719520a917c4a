"""Results of the zoo as rows: rates with intervals, what the controls say, and which policies learn.

A policy learns when the interval of its success lies wholly above those of its controls; a control that reaches into it
is named instead. Watch out: rows of different protocols do not belong into one table, see `Row.protocol`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embodia.evaluation.controls import BLANK_IMAGE, OTHER_SENTENCE
from embodia.evaluation.results import read_result
from embodia.evaluation.statistics import Rate

LEARNS = "learns"
SAYS: Mapping[str, str] = {BLANK_IMAGE: "may not look", OTHER_SENTENCE: "may not listen"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One policy: its rate, those of its controls and families, what it cost, whether its eyes were taught.

    `outcomes` has for every task a "1" or "0" an episode, in the order of the seeds, the same for all policies.
    """

    name: str
    size: str
    parameters: int
    rate: Rate
    controls: Mapping[str, Rate]
    families: Mapping[str, Rate]
    samples: int
    samples_per_s: float
    decision_ms: float
    verdict: str
    protocol: str
    command: str
    taught: bool = False
    seed: int = 0
    outcomes: Mapping[str, str] = field(default_factory=dict)


def learns(report: Mapping[str, Any]) -> str:
    """ "learns", or what the controls leave open."""
    low = report["interval"][0]
    doubts = [
        SAYS.get(name, f"no better than {name}")
        for name, entry in report["controls"].items()
        if low <= entry["interval"][1]
    ]
    return LEARNS if not doubts else ", ".join(doubts)


def read_rows(folder: Path) -> list[Row]:
    """One row a result file of the folder, the best first. Raises `CorruptFileError` for a file that is no result."""
    found = [row_of(read_result(path)) for path in sorted(folder.glob("*.json"))]
    return sorted(found, key=lambda row: (-row.rate.value, row.name))


def row_of(result: Mapping[str, Any]) -> Row:
    """The row of one result."""
    return Row(
        name=result["policy"]["name"],
        size=result["policy"]["size"],
        parameters=result["policy"]["parameters"],
        rate=rate_of_entry(result),
        controls={name: rate_of_entry(entry) for name, entry in result["controls"].items()},
        families={name: rate_of_entry(entry) for name, entry in result["families"].items()},
        samples=result["training"]["samples"],
        samples_per_s=result["training"]["samples_per_second"],
        decision_ms=result["decision"]["p50_ms"],
        verdict=learns(result),
        protocol=result["protocol"],
        command=result["command"],
        taught=bool(result.get("taught_eyes")),
        seed=result.get("zoo", {}).get("seed", 0),
        outcomes=result.get("outcomes", {}),
    )


def rate_of_entry(entry: Mapping[str, Any]) -> Rate:
    """A rate from its keys in a file."""
    return Rate(successes=round(entry["success_rate"] * entry["n"]), n=entry["n"])


def protocols(rows: Iterable[Row]) -> tuple[str, ...]:
    """The protocols that occur, the one of most rows first."""
    found = [row.protocol for row in rows]
    return tuple(sorted(set(found), key=lambda name: (-found.count(name), name)))
