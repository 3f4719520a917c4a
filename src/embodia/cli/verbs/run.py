"""A whole experiment from one recipe: collect, train, evaluate, report; goes on where an earlier call was stopped.

Recipes are Python files of the package `embodia_recipes`; without a name, `embodia run` lists them. What was measured
lies in OUT/result.json, with command, commit, machine and seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from embodia.cli.recipes import FOLDER, Stage, run_recipe

EXAMPLES = (
    "embodia run",
    "embodia run metaworld_mt50 --out runs/mt50",
    "embodia run metaworld_mt50 --out runs/mt50 --stage evaluate",
    "torchrun --nproc-per-node 2 -m embodia.cli run metaworld_mt50 --stage train",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Flags of `embodia run`."""

    recipe: Annotated[str, tyro.conf.Positional] = ""
    """Name of the recipe; empty lists them."""
    out: Path | None = None
    """Folder of data, run and report; runs/NAME when not given."""
    stage: Stage = "all"
    """Only this stage."""
    round: int = 1
    """The round of stage collect or train alone, where a recipe has several; judged is the last."""


def run(options: Options) -> int:
    """Run the stages, or list the recipes."""
    if options.recipe:
        run_recipe(options.recipe, options.out or Path("runs") / options.recipe, options.stage, options.round)
        return 0
    for name in FOLDER.names():
        print(f"{name:<18}{(FOLDER.load(name).__doc__ or '').splitlines()[0]}")
    return 0
