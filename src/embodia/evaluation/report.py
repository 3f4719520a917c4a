"""An evaluation's folder: report.json, episodes.jsonl, timing.json, videos and the page drawn from them.

`report.json` is written after everything it speaks of, so a folder with one is complete. `redraw` makes the page anew
from the folder, for a report that came from another machine or an older release.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from embodia.core.errors import CorruptFileError
from embodia.evaluation.episodes import Episode, write_episodes
from embodia.evaluation.facts import hardware
from embodia.evaluation.page import report_page
from embodia.evaluation.results import SHARED_KEYS
from embodia.io.atomic import make_folder, write_json, write_text
from embodia.io.jsonio import read_json, read_json_lines

REPORT, EPISODES, TIMING, CURVES, PAGE = "report.json", "episodes.jsonl", "timing.json", "curves.jsonl", "report.html"


def write_report(
    folder: Path,
    report: dict[str, Any],
    episodes: Sequence[Episode],
    clips: Sequence[Mapping[str, Any]],
    *,
    timing: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write everything into `folder`; the entries of clips saved there are added to `report`. Raises `StorageError`."""
    make_folder(folder)
    report["clips"] = list(clips)
    write_episodes(folder / EPISODES, episodes)
    write_json(folder / TIMING, {**timing, "hardware": hardware()})
    write_text(folder / CURVES, "".join(json.dumps(row, sort_keys=True) + "\n" for row in metrics))
    write_json(folder / REPORT, report)
    redraw(folder)


def redraw(folder: str | Path) -> Path:
    """Draw report.html from what lies in `folder` and return its path.

    Raises `MissingFileError` where report.json or a clip is missing, `CorruptFileError` for one that is no report.
    """
    folder = Path(folder)
    report = read_json(folder / REPORT)
    for key in (*SHARED_KEYS, "findings", "language", "provenance", "config", "policy", "training_episodes"):
        if not isinstance(report, dict) or key not in report:
            raise CorruptFileError("is not a report: a key is missing", file=folder / REPORT, leaf=key)
    timing = read_json(folder / TIMING) if (folder / TIMING).exists() else None
    metrics = read_json_lines(folder / CURVES) if (folder / CURVES).exists() else []
    write_text(folder / PAGE, report_page(report, folder, timing=timing, metrics=metrics))
    return folder / PAGE
