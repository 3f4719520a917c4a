"""Figures of a run: one JSON line each in `metrics.jsonl`, and TensorBoard where it is installed.

The JSON lines are the record, TensorBoard a view. A run that was killed may have written lines beyond its last
checkpoint; they are cut off on resume, so that each step appears once.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from embodia.io.atomic import append_line, write_text

FILE = "metrics.jsonl"


class Progress(Protocol):
    """What a caller is told while a run goes on."""

    def __call__(self, text: str, done: int, total: int) -> None:
        """`text` for people, `done` of `total` in steps, or in seconds where only the clock limits the run."""
        ...


def silent(text: str, done: int, total: int) -> None:
    """A progress hook that says nothing."""


def read(folder: Path) -> list[dict[str, Any]]:
    """All figures of a run, oldest first; a torn last line is left out."""
    path = folder / FILE
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


class Metrics:
    """Writes the figures of one run into `folder`, from step `start_step` on."""

    def __init__(self, folder: Path, *, start_step: int, tensorboard: bool) -> None:
        self._path = folder / FILE
        _trim(folder, start_step)
        self._board = _board(folder, start_step) if tensorboard else None

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """Record `figures` after `step` steps. Raises `StorageError` when the disk refuses."""
        clean = {key: value if math.isfinite(value) else None for key, value in figures.items()}
        append_line(self._path, json.dumps({"step": step, **clean}, sort_keys=True))
        if self._board is not None:
            for key, value in figures.items():
                self._board.add_scalar(key, value, step)

    def close(self) -> None:
        """Flush what a viewer still waits for."""
        if self._board is not None:
            self._board.close()


def _trim(folder: Path, start_step: int) -> None:
    found = read(folder)
    kept = [line for line in found if line.get("step", 0) <= start_step]
    if len(kept) < len(found) or (found and start_step == 0):
        write_text(folder / FILE, "".join(json.dumps(line, sort_keys=True) + "\n" for line in kept))


def _board(folder: Path, start_step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=start_step)


def time_left(seconds: float | None) -> str:
    """A duration for people: "1:02:03", "4:05", or "?"."""
    if seconds is None or not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
