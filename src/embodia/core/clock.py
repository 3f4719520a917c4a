"""Time behind a seam: monotonic inside, wall clock only in labels, simulated in tests."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """A monotonic clock in seconds."""

    def now_s(self) -> float:
        """Seconds since an arbitrary origin; never runs backwards."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; a simulated clock jumps."""
        ...


class SystemClock:
    """The machine's monotonic clock."""

    def now_s(self) -> float:
        """Seconds of `time.perf_counter`."""
        return time.perf_counter()

    def sleep(self, seconds: float) -> None:
        """Block this thread for at least `seconds`."""
        time.sleep(max(0.0, seconds))


class ProcessorClock:
    """Processor seconds of this process, all its threads together: other work on the machine does not enter."""

    def now_s(self) -> float:
        """Seconds of `time.process_time`."""
        return time.process_time()

    def sleep(self, seconds: float) -> None:
        """Compute for `seconds`: this clock does not move while the process rests."""
        end_s = self.now_s() + seconds
        while self.now_s() < end_s:
            pass


class SimulatedClock:
    """A clock that moves only when told to: rates and deadlines can be tested faster than real time."""

    def __init__(self, start_s: float = 0.0) -> None:
        self._now_s = start_s

    def now_s(self) -> float:
        """The simulated time in seconds."""
        return self._now_s

    def sleep(self, seconds: float) -> None:
        """Advance the simulated time."""
        self._now_s += max(0.0, seconds)


def utc_label() -> str:
    """Now in UTC, to the second, for labels in manifests and reports."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
