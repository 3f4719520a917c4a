"""Draw an evaluation's page again from its folder, or many evaluations as one leaderboard.

A leaderboard takes folders and result files, searches folders for evaluations, and writes leaderboard.html, .csv and
.json. Bold and "*" stand only where an exact test tells a policy apart from every other one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from embodia.core.errors import ConfigError

EXAMPLES = (
    "embodia report runs/demo",
    "embodia report runs/doors/evaluation runs/lock",
    "embodia report runs results --leaderboard runs/leaderboard",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Flags of `embodia report`."""

    folders: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders that hold report.json; for a leaderboard also folders of such folders, and result files."""
    leaderboard: Path | None = None
    """Folder into which a leaderboard of all evaluations found is written."""
    json: bool = False
    """Print the leaderboard as one JSON document."""


def run(options: Options) -> int:
    """Write the pages and print their paths."""
    if not options.folders:
        raise ConfigError("a folder is needed", leaf="folders", cure="Name one that holds report.json.")
    if options.leaderboard is None:
        from embodia.evaluation.report import redraw

        for folder in options.folders:
            print(redraw(folder))
        return 0
    return _leaderboard(options, options.leaderboard)


def _leaderboard(options: Options, out: Path) -> int:
    from embodia.cli.main import print_json
    from embodia.evaluation.leaderboard import board_text, gather, make_board, write_leaderboard

    entries, passed = gather(options.folders)
    if not entries:
        raise ConfigError("no evaluation was found", leaf=", ".join(map(str, options.folders)))
    board = make_board(entries)
    page = write_leaderboard(out, board)
    if options.json:
        print_json(board)
        return 0
    print(board_text(board))
    if passed:
        print(f"{len(passed)} JSON files are no evaluation of a policy and were passed over")
    print(page)
    return 0
