"""Carrying out a recipe, collect, train, evaluate; each stage goes on where an earlier call was stopped.

A recipe may have several rounds: what the first one's policy does wrong, experts then show how to mend.

Without an accelerator, training runs one process a core: for small networks that is faster than threads.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from embodia.core.errors import ConfigError, TrainingError
from embodia.core.names import Folder

if TYPE_CHECKING:
    from embodia.generate.collect import CollectConfig
    from embodia.training.config import TrainConfig

FOLDER = Folder(kind="recipe", package="embodia_recipes")
PROCESSES = (4, 2, 1)
"""Numbers of training processes to choose from: they divide the batch."""

Stage: TypeAlias = Literal["all", "collect", "train", "evaluate"]


@dataclass(frozen=True)
class _Round:
    """Where one round of a recipe lies, what it collects, and what it trains on: that, and what was collected before.

    `before` is the run that it goes on from, None in the first.
    """

    collected: Mapping[Path, CollectConfig]
    data: tuple[Path, ...]
    config: TrainConfig
    run: Path
    before: Path | None = None


def run_recipe(name: str, out: Path, stage: Stage = "all", number: int = 1) -> None:
    """Run the stages of a recipe into `out`, print the verdict and write result.json.

    `number` is the round, counted from 1, of a call for the stage "collect" or "train" alone. Raises
    `UnknownNameError`, `ConfigError` for a round that the recipe does not have, what stages raise.
    """
    recipe = FOLDER.load(name).recipe()
    rounds = _rounds(recipe, out)
    if not 1 <= number <= len(rounds):
        raise ConfigError(f"there is no round {number} of {len(rounds)}", leaf="round")
    if stage == "collect":
        _collect(rounds[number - 1])
    if stage == "train":
        _train(recipe, rounds[number - 1])
    if stage == "all":
        for count, found in enumerate(rounds, start=1):
            _collect(found)
            _spread(name, out, count)
    if stage in ("all", "evaluate"):
        _evaluate(recipe, rounds, out)


def _rounds(recipe: Any, out: Path) -> list[_Round]:
    first = {out / "data": recipe.collect}
    rounds = [_Round(collected=first, data=tuple(first), config=recipe.train, run=out / "train")]
    for number, further in enumerate(recipe.rounds, start=2):
        home, last = out / f"round{number}", rounds[-1]
        collected = {home / name: _after(config, last.run) for name, config in further.collect.items()}
        rounds.append(
            _Round(
                collected=collected,
                data=(*last.data, *collected),
                config=replace(further.train, weights_from=str(last.run)),
                run=home / "train",
                before=last.run,
            )
        )
    return rounds


def _after(config: CollectConfig, run: Path) -> CollectConfig:
    if config.takeover is None:
        return config
    return replace(config, takeover=replace(config.takeover, policy=str(run)))


def _spread(name: str, out: Path, number: int) -> None:
    """The stage "train" in processes of its own, as many as pay off. Raises `TrainingError` when it fails."""
    import torch

    cores = os.cpu_count() or 1
    processes = 1 if torch.cuda.is_available() else next(count for count in PROCESSES if count <= cores)
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)] if processes > 1 else []
    stage = ["-m", "embodia.cli", "run", name, "--stage", "train", "--round", str(number), "--out", str(out)]
    environment = {"OMP_NUM_THREADS": "1", **os.environ} if processes > 1 else dict(os.environ)
    done = subprocess.run([sys.executable, *launcher, *stage], env=environment, check=False)
    if done.returncode:
        raise TrainingError(f"training ended with status {done.returncode}", cure="Its messages stand above.")


def _collect(found: _Round) -> None:
    from embodia.cli.evaluating import novice
    from embodia.cli.progress import ProgressBar
    from embodia.generate.collect import collect

    for data, config in found.collected.items():
        acts = None if config.takeover is None or found.before is None else novice(found.before)
        with ProgressBar() as progress:
            report = collect(config, data, progress=progress, novice=acts)
        print(f"{report.episodes} episodes in {data}, {sum(report.failed.values())} failed attempts left out")


def _train(recipe: Any, found: _Round) -> None:
    from embodia.cli.datasets import open_mixture
    from embodia.cli.progress import ProgressBar
    from embodia.policies import PolicySpec
    from embodia.training.loop import train

    mixture = open_mixture(found.data)
    spec = PolicySpec(name=recipe.policy, size=recipe.size, contract=mixture.contract, config=recipe.config)
    with ProgressBar() as progress:
        result = train(
            found.config,
            spec,
            mixture,
            found.run,
            progress=lambda text, done, total: progress(f"train | {text}", done, total),
        )
    if os.environ.get("RANK", "0") == "0":
        print(f"{result.samples} samples in {result.seconds:.0f} s: {result.best}")


def _evaluate(recipe: Any, rounds: list[_Round], out: Path) -> None:
    from embodia.cli.evaluating import evaluate_checkpoint, print_report, write_suite_result

    report = evaluate_checkpoint(rounds[-1].run, rounds[-1].data, recipe.evaluate, out)
    spent = [_spent(found) for found in rounds]
    training = {
        "samples": sum(samples for samples, _ in spent),
        "seconds": round(sum(seconds for _, seconds in spent)),
        "demonstrations": report["training_episodes"],
    }
    write_suite_result(out / "result.json", report, training=training)
    print_report(report, out)


def _spent(found: _Round) -> tuple[int, float]:
    """Samples and seconds that a round's best checkpoint took."""
    from embodia.training.checkpoint import find, step_of
    from embodia.training.metrics import read

    steps = step_of(find(found.run))
    last = [line for line in read(found.run) if "loss" in line and line["step"] <= steps][-1]
    return steps * found.config.batch_size, last["seconds"]
