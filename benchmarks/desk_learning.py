"""The learning check of Desk: collect, train and judge the recipe `desk` on one core, and say what each part took.

Run: `python benchmarks/desk_learning.py --out runs/desk_learning`; writes results/desk_learning.json. What counts as
the time of training is processor time of the training process, all its threads together, so that other work on the
machine does not enter; the wall time stands beside it.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from embodia_recipes import desk

from embodia.cli.evaluating import evaluate_checkpoint
from embodia.cli.progress import ProgressBar
from embodia.data.dataset import Dataset
from embodia.data.mixture import Mixture
from embodia.evaluation.results import write_result
from embodia.evaluation.statistics import rate_of
from embodia.evaluation.summary import rate_entry
from embodia.generate.collect import collect
from embodia.policies import PolicySpec
from embodia.training.loop import train

FAMILIES = ("reach", "push", "button")


def main() -> None:
    """All stages in a new folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/desk_learning"))
    parser.add_argument("--result", type=Path, default=Path("results/desk_learning.json"))
    parser.add_argument("--samples", type=int, default=0, help="other than the recipe's")
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    recipe = desk.recipe()
    with ProgressBar() as progress:
        collect(recipe.collect, options.out / "data", progress=progress)
    facts = _train(recipe, options.out, options.samples)
    report = evaluate_checkpoint(options.out / "train", [options.out / "data"], recipe.evaluate, options.out / "report")
    report = {**report, "command": "python benchmarks/desk_learning.py"}
    families = {name: _family(report, name) for name in FAMILIES}
    write_result(options.result, report, families=families, training=facts)


def _train(recipe: Any, out: Path, samples: int) -> dict[str, float]:
    from embodia.cli.datasets import open_mixture

    mixture: Mixture = open_mixture([out / "data"])
    spec = PolicySpec(name=recipe.policy, size=recipe.size, contract=mixture.contract, config=recipe.config)
    config = replace(recipe.train, samples=samples or recipe.train.samples, resume=False)
    used, began = time.process_time(), time.monotonic()
    result = train(config, spec, mixture, out / "train")
    frames = sum(row.length for row in Dataset.open(out / "data").episodes)
    return {
        "processor_seconds": time.process_time() - used,
        "wall_seconds": time.monotonic() - began,
        "samples": float(result.samples),
        "frames": float(frames),
    }


def _family(report: dict[str, Any], name: str) -> dict[str, Any]:
    rows = [entry for task, entry in report["per_task"].items() if task.split("/")[0] == name]
    done = [success for entry in rows for success in _outcomes(entry)]
    return rate_entry(rate_of(done))


def _outcomes(entry: dict[str, Any]) -> list[bool]:
    count = round(entry["success_rate"] * entry["n"])
    return [True] * count + [False] * (entry["n"] - count)


if __name__ == "__main__":
    main()
