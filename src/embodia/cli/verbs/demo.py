"""Collect, train, evaluate, report: ten minutes on two cores, from nothing to a policy that follows sentences.

Each stage goes on where an earlier call was stopped. The recipe is `embodia_recipes.demo`; copy it to make your own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXAMPLES = ("embodia demo", "embodia demo --out runs/again")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Flags of `embodia demo`."""

    out: Path = Path("runs/demo")
    """Folder of data, run and report."""


def run(options: Options) -> int:
    """Run the stages and print the verdict and where the report lies."""
    from embodia_recipes.demo import demo

    from embodia.cli.evaluating import evaluate_checkpoint, print_report

    recipe, out = demo(), options.out
    _collect(recipe, out / "data")
    _train(recipe, out / "data", out / "train")
    report = evaluate_checkpoint(out / "train", [out / "data"], recipe.evaluate, out)
    print_report(report, out)
    return 0


def _collect(recipe: Any, data: Path) -> None:
    from embodia.cli.progress import ProgressBar
    from embodia.generate.collect import collect

    with ProgressBar() as progress:
        report = collect(recipe.collect, data, progress=progress)
    print(f"{report.episodes} episodes in {data}, {sum(report.failed.values())} failed attempts left out")


def _train(recipe: Any, data: Path, out: Path) -> None:
    from embodia.cli.datasets import open_mixture
    from embodia.cli.progress import ProgressBar
    from embodia.policies import PolicySpec
    from embodia.training.loop import train

    mixture = open_mixture([data])
    spec = PolicySpec(name=recipe.policy, size=recipe.size, contract=mixture.contract, config=recipe.config)
    with ProgressBar() as progress:
        result = train(
            recipe.train,
            spec,
            mixture,
            out,
            progress=lambda text, done, total: progress(f"train | {text}", done, total),
        )
    print(f"{result.samples} samples in {result.seconds:.0f} s: {result.best}")
