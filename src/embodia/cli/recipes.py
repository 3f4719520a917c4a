"""Carrying out a recipe, collect, train, evaluate; each stage goes on where an earlier call was stopped.

Without an accelerator, training runs one process a core: for small networks that is faster than threads.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal, TypeAlias

from embodia.core.errors import TrainingError
from embodia.core.names import Folder

FOLDER = Folder(kind="recipe", package="embodia_recipes")
PROCESSES = (4, 2, 1)
"""Numbers of training processes to choose from: they divide the batch."""

Stage: TypeAlias = Literal["all", "collect", "train", "evaluate"]


def run_recipe(name: str, out: Path, stage: Stage = "all") -> None:
    """Run the stages of a recipe into `out`, print the verdict and write result.json.

    Raises `UnknownNameError`, what stages raise.
    """
    recipe = FOLDER.load(name).recipe()
    if stage in ("all", "collect"):
        _collect(recipe, out / "data")
    if stage == "train":
        _train(recipe, out / "data", out / "train")
    if stage == "all":
        _spread(name, out)
    if stage in ("all", "evaluate"):
        _evaluate(recipe, out)


def _spread(name: str, out: Path) -> None:
    """The stage "train" in processes of its own, as many as pay off. Raises `TrainingError` when it fails."""
    import torch

    cores = os.cpu_count() or 1
    processes = 1 if torch.cuda.is_available() else next(count for count in PROCESSES if count <= cores)
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)] if processes > 1 else []
    stage = ["-m", "embodia.cli", "run", name, "--stage", "train", "--out", str(out)]
    environment = {"OMP_NUM_THREADS": "1", **os.environ} if processes > 1 else dict(os.environ)
    done = subprocess.run([sys.executable, *launcher, *stage], env=environment, check=False)
    if done.returncode:
        raise TrainingError(f"training ended with status {done.returncode}", cure="Its messages stand above.")


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
    if os.environ.get("RANK", "0") == "0":
        print(f"{result.samples} samples in {result.seconds:.0f} s: {result.best}")


def _evaluate(recipe: Any, out: Path) -> None:
    from embodia.cli.evaluating import evaluate_checkpoint, print_report, write_suite_result
    from embodia.training.checkpoint import step_of
    from embodia.training.metrics import read

    report = evaluate_checkpoint(out / "train", [out / "data"], recipe.evaluate, out)
    judged = step_of(Path(report["policy"]["checkpoint"]))
    last = [line for line in read(out / "train") if "loss" in line and line["step"] <= judged][-1]
    training = {"samples": judged * recipe.train.batch_size, "seconds": round(last["seconds"])}
    write_suite_result(
        out / "result.json", report, training={**training, "demonstrations": report["training_episodes"]}
    )
    print_report(report, out)
