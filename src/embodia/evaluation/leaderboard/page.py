"""The leaderboard for people and for programs: one HTML file that needs nothing else, a CSV, plain text.

Filmstrips and videos are embedded, strips first, as long as they fit into `EMBED_BYTES`; beyond that they are linked
from where they lie. What is bold was decided in `board`; here it is only drawn.
"""

from __future__ import annotations

import base64
import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from embodia.evaluation.media import data_uri
from embodia.evaluation.page import EMBED_BYTES, LABELS, render, short_rate, spoken
from embodia.io.atomic import make_folder, write_json, write_text

NAME = "leaderboard"
COLUMNS = (
    *("policy", "suite", "task", "success_rate", "n", "low", "high"),
    *("best_rank", "worst_rank", "groups", "bold", "source", "commit"),
)


def write_leaderboard(folder: str | Path, board: Mapping[str, Any]) -> Path:
    """leaderboard.html, leaderboard.csv and leaderboard.json in `folder`; the path of the page. `StorageError`."""
    out = make_folder(folder)
    write_json(out / f"{NAME}.json", board)
    write_text(out / f"{NAME}.csv", board_csv(board))
    write_text(out / f"{NAME}.html", board_page(board, out))
    return out / f"{NAME}.html"


def board_csv(board: Mapping[str, Any]) -> str:
    """One line for each policy, suite and task, and one for all tasks of a suite (task is empty)."""
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(COLUMNS)
    for suite in board["suites"]:
        for row in suite["rows"]:
            writer.writerow(_csv_line(suite, row, "", row))
            for task in suite["tasks"]:
                writer.writerow(_csv_line(suite, row, task, row["per_task"][task]))
    return target.getvalue()


def board_text(board: Mapping[str, Any]) -> str:
    """For a terminal; a line begins with "*" only where a policy is told apart from every other one."""
    lines = []
    for suite in board["suites"]:
        width = max(len(row["policy"]) for row in suite["rows"])
        lines += [suite["name"] + (f" ({suite['protocol']})" if suite["protocol"] else "")]
        for row in suite["rows"]:
            rank = "reference" if row["ranks"] is None else f"rank {_rank(row)} {row['groups']}"
            lines.append(f"{'*' if row['bold'] else ' '} {row['policy']:{width}}  {row['text']}  {rank}")
        lines += [f"  {suite['verdict']}", ""]
    return "\n".join(lines)


def board_page(board: Mapping[str, Any], folder: Path) -> str:
    """The page, for a file that lies in `folder`."""
    sources = _sources(board, folder)
    table = base64.b64encode(board_csv(board).encode()).decode()
    suites = [_suite(number, suite, folder, sources) for number, suite in enumerate(board["suites"])]
    cells = {(row["policy"], s["id"]): row for s in suites for row in s["rows"]}
    rows = [
        {
            "policy": name,
            "reference": name in board["references"],
            "cells": [cells.get((name, suite["id"])) for suite in suites],
        }
        for name in board["policies"]
    ]
    ranked = len(board["policies"]) - len(board["references"])
    return render(
        "leaderboard.html",
        {
            "title": f"{_count(ranked, 'policy', 'policies')} on {_count(len(suites), 'suite', 'suites')}",
            "episodes": f"{sum(row['n'] for suite in board['suites'] for row in suite['rows']):,}",
            "suites": suites,
            "rows": rows,
            "csv": f"data:text/csv;base64,{table}",
            "csv_name": f"{NAME}.csv",
        },
    )


def _csv_line(suite: Mapping[str, Any], row: Mapping[str, Any], task: str, entry: Mapping[str, Any]) -> list[Any]:
    best, worst = row["ranks"] if row["ranks"] and not task else ("", "")
    rate = [f"{value:.6g}" for value in (entry["success_rate"], *entry["interval"])]
    groups = "" if task else row["groups"]
    start = [row["policy"], suite["name"], task, rate[0], entry["n"], rate[1], rate[2]]
    return [*start, best, worst, groups, int(entry["bold"]), row["source"], row["commit"]]


def _suite(number: int, suite: Mapping[str, Any], folder: Path, sources: Mapping[str, str]) -> dict[str, Any]:
    rows = [_row(row, suite["tasks"], folder, sources) for row in suite["rows"]]
    return {
        "id": f"suite-{number}",
        "name": suite["name"],
        "protocol": suite["protocol"],
        "verdict": suite["verdict"],
        "compared": suite["compared"],
        "tasks": [spoken(task) for task in suite["tasks"]],
        "rows": rows,
        "reels": [row for row in rows if row["clips"]],
    }


def _row(row: Mapping[str, Any], tasks: Sequence[str], folder: Path, sources: Mapping[str, str]) -> dict[str, Any]:
    control = row["control"]
    return {
        **_shown(row),
        "policy": row["policy"],
        "reference": row["reference"],
        "rank": _rank(row),
        "order": row["ranks"][0] if row["ranks"] else 999,
        "groups": row["groups"],
        "control": None if control is None else {"at": _tenth(control["success_rate"]), "text": _control_text(control)},
        "link": None if row["page"] is None else _relative(row["page"], folder),
        "source": _relative(row["source"], folder),
        "command": row["command"],
        "commit": row["commit"][:10],
        "tasks": [_shown(row["per_task"][task]) for task in tasks],
        "clips": [_clip(clip, sources) for clip in row["clips"]],
    }


def _shown(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A rate as numbers for a cell and a bar."""
    low, high = entry["interval"]
    return {
        "value": _tenth(entry["success_rate"]),
        "percent": f"{100 * entry['success_rate']:.0f}",
        "low": _tenth(low),
        "width": _tenth(high - low),
        "span": f"{100 * low:.0f}\u2013{100 * high:.0f}",
        "n": entry["n"],
        "text": short_rate(entry),
        "bold": entry["bold"],
    }


def _clip(clip: Mapping[str, Any], sources: Mapping[str, str]) -> dict[str, Any]:
    outcome = "success" if clip["success"] else "failure"
    return {
        "kind": outcome,
        "task": spoken(clip["task"]),
        "instruction": clip["instruction"],
        "caption": f"{clip['steps']} steps, seed {clip['seed']}",
        "alt": f"Filmstrip of {spoken(clip['task'])}, seed {clip['seed']}: {outcome} after {clip['steps']} steps",
        "video": sources[clip["video"]],
        "strip": sources[clip["filmstrip"]],
    }


def _sources(board: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """File -> what the page loads; strips are embedded before videos."""
    clips = [clip for suite in board["suites"] for row in suite["rows"] for clip in row["clips"]]
    left, found = EMBED_BYTES, {}
    for name in [*(clip["filmstrip"] for clip in clips), *(clip["video"] for clip in clips)]:
        size = Path(name).stat().st_size if Path(name).exists() else EMBED_BYTES + 1
        left, fits = (left - size, True) if size <= left else (left, False)
        found[name] = data_uri(name) if fits else _relative(name, folder)
    return found


def _control_text(control: Mapping[str, Any]) -> str:
    label = LABELS.get(control["name"], spoken(control["name"]))
    return f"best control: {label}, {100 * control['success_rate']:.0f} %"


def _rank(row: Mapping[str, Any]) -> str:
    if row["ranks"] is None:
        return ""
    best, worst = row["ranks"]
    return str(best) if best == worst else f"{best}\u2013{worst}"


def _relative(path: str, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _tenth(share: float) -> float:
    return round(100 * share, 1)
