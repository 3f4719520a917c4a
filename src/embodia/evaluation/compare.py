"""Two evaluations on the same episodes: what differs, how sure that is, and how many episodes more it would take.

Only runs that met the same scenes may be compared: same tasks, same seeds, same sentences, same pictures. Watch out:
"not distinguishable" is no proof of equality; the planned n says how large an experiment would have to be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embodia.core.config import from_json
from embodia.core.errors import ComparisonError, ContractError, CorruptFileError
from embodia.core.provenance import Provenance, require_same_profile
from embodia.evaluation.episodes import POLICY, Episode, of_arm, paired, read_episodes, tasks
from embodia.evaluation.page import render, report_title, short_rate, spoken
from embodia.evaluation.statistics import corrected, rate_of, verdict_paired
from embodia.evaluation.summary import rate_entry, verdict_entry
from embodia.io.atomic import write_json, write_text
from embodia.io.jsonio import read_json

_NEEDED = {"config": dict, "provenance": dict, "policy": dict, "per_task": dict, "commit": str}
"""What a comparison reads of a report."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """An evaluation as it lies on disk: its name in messages, its report and its episodes."""

    name: str
    report: Mapping[str, Any]
    episodes: tuple[Episode, ...]


def read_run(folder: str | Path) -> Run:
    """The report and episode table of an evaluation's folder. Raises `MissingFileError`, `CorruptFileError`."""
    path = Path(folder, "report.json")
    report = read_json(path)
    for key, kind in _NEEDED.items():
        if not isinstance(report, dict) or not isinstance(report.get(key), kind):
            raise CorruptFileError("is not a report", file=path, leaf=key)
    return Run(name=str(folder), report=report, episodes=tuple(read_episodes(Path(folder, "episodes.jsonl"))))


def compare(first: Run, second: Run) -> dict[str, Any]:
    """Second minus first, overall and for each task (Holm-corrected over the tasks), paired by seed.

    Raises `ComparisonError` naming both runs and what differs when they did not meet the same episodes.
    """
    require_comparable(first, second)
    mine, theirs = (of_arm(run.episodes, POLICY) for run in (first, second))
    names = tasks(mine)
    overall = verdict_paired(*paired(mine, theirs))
    single = [verdict_paired(*paired(of_arm(mine, POLICY, name), of_arm(theirs, POLICY, name))) for name in names]
    return {
        "first": _side(first, mine),
        "second": _side(second, theirs),
        "overall": verdict_entry(overall),
        "per_task": {
            name: {
                "first": rate_entry(verdict.first),
                "second": rate_entry(verdict.second),
                **verdict_entry(verdict),
            }
            for name, verdict in zip(names, corrected(single), strict=True)
        },
        "discordant": _discordant(mine, theirs),
    }


def require_comparable(first: Run, second: Run) -> None:
    """Raise `ComparisonError` unless tasks, seeds, sentences, horizon and pictures are the same."""
    found = [*_table_differences(first, second), *_setting_differences(first, second)]
    if found:
        raise ComparisonError(
            f"{first.name} and {second.name} cannot be compared: {'; '.join(found)}",
            leaf=found[0].split(":")[0],
            cure="Evaluate both on the same tasks, seeds and visual profile.",
        )


def write_comparison(folder: str | Path, comparison: Mapping[str, Any]) -> None:
    """compare.json, compare.txt and compare.html in `folder`."""
    write_json(Path(folder, "compare.json"), comparison)
    write_text(Path(folder, "compare.txt"), comparison_text(comparison))
    write_text(Path(folder, "compare.html"), comparison_page(comparison))


def comparison_text(comparison: Mapping[str, Any]) -> str:
    """The comparison for a terminal; a line begins with "*" only where the difference is more than chance."""
    rows = [(spoken(name), entry) for name, entry in comparison["per_task"].items()]
    width = max(len(name) for name, _ in rows)
    lines = [f"{side}: {comparison[side]['title']} ({comparison[side]['text']})" for side in ("first", "second")]
    lines.append(f"{_mark(comparison['overall'])} second is {comparison['overall']['text']}")
    for name, entry in rows:
        rates = f"{entry['first']['text']} -> {entry['second']['text']}"
        lines.append(f"{_mark(entry)}   {name:{width}}  {rates}  {entry['text']}")
    return "\n".join(lines) + "\n"


def comparison_page(comparison: Mapping[str, Any]) -> str:
    """The comparison as a self-contained HTML page; only what is distinguishable is set in bold."""
    rows = [
        {
            "label": spoken(name),
            "first": short_rate(entry["first"]),
            "second": short_rate(entry["second"]),
            **_shown(entry),
        }
        for name, entry in comparison["per_task"].items()
    ]
    sides = [{**comparison[side], "short": short_rate(comparison[side])} for side in ("first", "second")]
    context = {"sides": sides, "overall": _shown(comparison["overall"]), "rows": rows}
    return render("compare.html", {**context, "discordant": comparison["discordant"], "n": comparison["first"]["n"]})


def _shown(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Percentages of a difference on an axis from -100 to +100 points."""
    low, high = entry["interval"]
    return {
        "text": entry["text"],
        "seen": entry["distinguishable"],
        "at": round(50 + 50 * entry["difference"], 1),
        "low": round(50 + 50 * low, 1),
        "width": round(50 * (high - low), 1),
    }


def _mark(entry: Mapping[str, Any]) -> str:
    return "*" if entry["distinguishable"] else " "


def _side(run: Run, mine: list[Episode]) -> dict[str, Any]:
    rate = rate_entry(rate_of([item.success for item in mine]))
    return {"name": run.name, "title": report_title(run.report), "commit": run.report["commit"], **rate}


def _discordant(first: list[Episode], second: list[Episode]) -> dict[str, int]:
    a, b = paired(first, second)
    pairs = list(zip(a, b, strict=True))
    return {
        "both": sum(x and y for x, y in pairs),
        "only_first": sum(x and not y for x, y in pairs),
        "only_second": sum(y and not x for x, y in pairs),
        "neither": sum(not x and not y for x, y in pairs),
    }


def _table_differences(first: Run, second: Run) -> list[str]:
    left, right = ({item.key: item for item in of_arm(run.episodes, POLICY)} for run in (first, second))
    mine, theirs = ({task for task, _ in table} for table in (left, right))
    if mine != theirs:
        return [f"tasks: {sorted(mine)} against {sorted(theirs)}"]
    if left.keys() != right.keys():
        only = sorted(left.keys() ^ right.keys())
        return [f"seeds: {len(left)} against {len(right)} episodes, {only[0]} is in one of them only"]
    other = [key for key in left if left[key].instruction != right[key].instruction]
    if other:
        sentences = f"{left[other[0]].instruction!r} against {right[other[0]].instruction!r}"
        return [f"sentences: {sentences} in {other[0]}"]
    return []


def _setting_differences(first: Run, second: Run) -> list[str]:
    found = []
    horizons = [run.report["config"].get("horizon") for run in (first, second)]
    if horizons[0] != horizons[1]:
        found.append(f"horizon: {horizons[0]} against {horizons[1]}")
    seen = [from_json(Provenance, run.report["provenance"].get("evaluated"), file=run.name) for run in (first, second)]
    try:
        require_same_profile(seen[0], seen[1])
    except ContractError as error:
        found.append(f"pictures: {error.message}")
    return found
