"""Progress for people: a bar on a terminal, now and then a plain line elsewhere.

The library reports through a hook `(stage, done, total)`; this turns the calls into a rich bar with rate and time left.
"""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from embodia.core.clock import SystemClock

EVERY_S = 20.0


class ProgressBar:
    """A context manager that is itself the hook: `with ProgressBar() as hook: work(progress=hook)`."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._terminal = self._console.is_terminal
        self._bars = Progress(
            TextColumn("[bold]{task.description:<24}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._clock = SystemClock()
        self._said_s = 0.0
        self._key = ""

    def __enter__(self) -> ProgressBar:
        if self._terminal:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._terminal:
            self._bars.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Report `done` of `total`; text after a first "|" in `stage` is a changing note on the same bar."""
        key = stage.split("|")[0].strip()
        if self._terminal:
            if key not in self._tasks:
                self._tasks[key] = self._bars.add_task(key, total=total)
            text = stage.replace("|", " ")
            self._bars.update(self._tasks[key], completed=done, total=total, description=text)
        elif key != self._key or done >= total or self._clock.now_s() - self._said_s > EVERY_S:
            self._said_s, self._key = self._clock.now_s(), key
            print(f"{stage.replace('|', ' ')}: {done}/{total}", file=sys.stderr, flush=True)
