"""What a command costs: seconds, processor seconds and the largest memory of its process, as the kernel counted them.

Under load only processor seconds mean something. A cost is written down, and a command whose cost is known is not run
again: that makes a comparison resumable. The one thing to watch: a new process inherits the memory mark of the one that
started it, so commands are started by a small interpreter that has imported next to nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

COST, LOG = "cost.json", "log.txt"


def once(command: Sequence[str], out: Path, environment: Mapping[str, str] | None = None) -> dict[str, float]:
    """Run `command` unless OUT/cost.json says that it was; its output goes to OUT/log.txt.

    Raises `RuntimeError` when it fails.
    """
    place = out / COST
    if not place.exists():
        out.mkdir(parents=True, exist_ok=True)
        starter = [sys.executable, "-S", __file__, str(out), *command]
        if subprocess.run(starter, env={**os.environ, **(environment or {})}, check=False).returncode:
            raise RuntimeError(f"{command[0]} failed, see {out / LOG}")
    return dict(json.loads(place.read_text()))


def measure(out: Path, command: Sequence[str]) -> int:
    """Run, write the cost down when it went well, and return the exit status."""
    began = time.monotonic()
    with (out / LOG).open("w") as log, subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    cost = {
        "seconds": round(time.monotonic() - began, 1),
        "processor_s": round(usage.ru_utime + usage.ru_stime, 1),
        "memory_mb": round(usage.ru_maxrss / 1024, 0),
    }
    if not process.returncode:
        (out / COST).write_text(json.dumps(cost))
    return process.returncode


if __name__ == "__main__":
    sys.exit(measure(Path(sys.argv[1]), sys.argv[2:]))
