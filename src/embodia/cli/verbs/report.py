"""Draw an evaluation's page again from its folder, many evaluations as one leaderboard, or a card of levels L1 to L5.

A leaderboard takes folders and result files, searches folders for evaluations, and writes leaderboard.html, .csv and
.json. Bold and "*" stand only where an exact test tells a policy apart from every other one. A card of levels takes
evaluations, each after the condition that it played ("look=runs/colours") or plain.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from embodia.core.errors import ConfigError

EXAMPLES = (
    "embodia report runs/demo",
    "embodia report runs/doors/evaluation runs/lock",
    "embodia report runs results --leaderboard runs/leaderboard",
    "embodia report runs/a look=runs/a_colours dynamics=runs/a_friction --levels manipulation",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Flags of `embodia report`."""

    folders: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Folders that hold report.json; for a leaderboard also folders of such folders, and result files."""
    leaderboard: Path | None = None
    """Folder into which a leaderboard of all evaluations found is written."""
    levels: Literal["", "mobility", "manipulation", "interaction"] = ""
    """Print the L1-L5 card of this scene."""
    json: bool = False
    """Print the leaderboard, or the card, as one JSON document."""


def run(options: Options) -> int:
    """Write the pages and print their paths."""
    if not options.folders:
        raise ConfigError("a folder is needed", leaf="folders", cure="Name one that holds report.json.")
    if options.levels:
        return _levels(options)
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
        raise ConfigError("no evaluation was found", leaf=", ".join(options.folders))
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


def _levels(options: Options) -> int:
    from embodia.cli.main import print_json
    from embodia.evaluation.cards.levels import card_text, level_card, read_measured

    assert options.levels
    card = level_card(read_measured(options.folders), options.levels)
    if options.json:
        print_json(card)
    else:
        print(card_text(card))
    return 0
