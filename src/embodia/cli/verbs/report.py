"""Draw an evaluation's page again from its report.json, episodes and clips."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

EXAMPLES = ("embodia report runs/demo", "embodia report runs/doors/evaluation")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Flags of `embodia report`."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Folder that holds report.json."""


def run(options: Options) -> int:
    """Write report.html and print its path."""
    from embodia.evaluation.report import redraw

    print(redraw(options.folder))
    return 0
