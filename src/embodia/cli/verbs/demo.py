"""Collect, train, evaluate, report: ten minutes on two cores, from nothing to a policy that follows sentences.

Each stage goes on where an earlier call was stopped. The recipe is `embodia_recipes.demo`; copy it to make your own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from embodia.cli.recipes import Stage, run_recipe

EXAMPLES = ("embodia demo", "embodia demo --out runs/again", "embodia demo --stage evaluate")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Flags of `embodia demo`."""

    out: Path = Path("runs/demo")
    """Folder of data, run and report."""
    stage: Stage = "all"
    """Only this stage."""


def run(options: Options) -> int:
    """Run the stages and print the verdict and where the report lies."""
    run_recipe("demo", options.out, options.stage)
    return 0
