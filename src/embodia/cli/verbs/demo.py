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
    data = [out / "data" / str(number) for number in range(len(recipe.collect))]
    _collect(recipe, data)
    _train(recipe, data, out / "train")
    report = evaluate_checkpoint(out / "train", data, recipe.evaluate, out)
    print_report(report, out)
    return 0


def _collect(recipe: Any, data: list[Path]) -> None:
    from embodia.cli.progress import ProgressBar
    from embodia.generate.collect import collect

    for config, folder in zip(recipe.collect, data, strict=True):
        with ProgressBar() as progress:
            report = collect(config, folder, progress=progress)
        print(f"{report.episodes} episodes in {folder}, {sum(report.failed.values())} failed attempts left out")


def _train(recipe: Any, data: list[Path], out: Path) -> None:
    from embodia.cli.progress import ProgressBar
    from embodia.data.dataset import Dataset
    from embodia.data.mixture import Mixture
    from embodia.policies import PolicySpec
    from embodia.training.loop import train

    datasets = [Dataset.open(folder) for folder in data]
    mixture = Mixture([(dataset, float(dataset.frames)) for dataset in datasets])
    spec = PolicySpec(name=recipe.policy, size=recipe.size, contract=mixture.contract)
    with ProgressBar() as progress:
        result = train(
            recipe.train,
            spec,
            mixture,
            out,
            progress=lambda text, done, total: progress(f"train | {text}", done, total),
        )
    print(f"{result.samples} samples in {result.seconds:.0f} s: {result.best}")
