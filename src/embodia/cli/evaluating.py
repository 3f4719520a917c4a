"""From a checkpoint on disk to a report: what the verbs that play a policy share."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from embodia.cli.progress import ProgressBar
from embodia.core.errors import ConfigError
from embodia.core.protocols import Policy
from embodia.envs.protocol import EnvConfig
from embodia.evaluation.checkpoints import judge
from embodia.evaluation.plans import EvalConfig
from embodia.evaluation.results import control_per_task, write_result
from embodia.evaluation.subjects import has_expert
from embodia.evaluation.suites import load, names
from embodia.generate.collect import SETTINGS, read_settings
from embodia.generate.takeover import Novice
from embodia.training.checkpoint import load_policy

HORIZON = 200
"""Control steps of an episode where no suite prescribes them."""


def novice(run: Path) -> Novice:
    """How workers load the policy of a run that acts before an expert takes over: each its own, on one thread."""
    return partial(_load_alone, run)


def _load_alone(run: Path) -> Policy:
    import torch

    torch.set_num_threads(1)
    return load_policy(run)[0]


def evaluate_checkpoint(checkpoint: Path, data: Sequence[Path], config: EvalConfig, out: Path) -> dict[str, Any]:
    """`judge` with a progress bar, under the name of what was typed."""
    with ProgressBar() as progress:
        return judge(checkpoint, data, config, out, command=command_line(), progress=progress)


def scenes(suite: str, data: Path | None) -> EvalConfig:
    """What a suite prescribes, or else the environment in which a data set was collected, drawn as that was.

    Raises `ConfigError` where neither is given.
    """
    if suite:
        config = load(suite).config()
        return replace(config, env=seen_as_collected(data, config))
    if data is None:
        cure = "Add --data FOLDER or --suite NAME."
        raise ConfigError("the training data or a suite is needed", leaf="data", cure=cure)
    return as_collected(data)


def as_collected(data: Path) -> EvalConfig:
    """An evaluation in the environment of a data set, on the tasks that were collected in scenes of their own."""
    collected = read_settings(data)
    tasks = tuple(task for task in collected.env.tasks if "@" not in task)
    env = replace(collected.env, horizon=HORIZON, tasks=tasks)
    return EvalConfig(family=collected.family, env=env, tasks=tasks, control_episodes=0)


def seen_as_collected(data: Path | None, config: EvalConfig) -> EnvConfig:
    """The environment of `config`, drawn as a data set of the same family was: a policy knows no other pictures."""
    if data is None or not (data / SETTINGS).is_file():
        return config.env
    collected = read_settings(data)
    if collected.family != config.family:
        return config.env
    drawn = collected.env
    return replace(config.env, cameras=drawn.cameras, height=drawn.height, width=drawn.width, profile=drawn.profile)


def command_line() -> str:
    """What was typed."""
    return " ".join(["embodia", *map(shlex.quote, sys.argv[1:])])


def write_suite_result(path: Path, report: dict[str, Any], **facts: Any) -> None:
    """The shared keys of a report, with what its suite adds, and `facts`."""
    further = {key: report[key] for key in ("suite", "score", "chains", "groups", "needs_eyes") if key in report}
    write_result(path, report, subject=report["policy"], control_per_task=control_per_task(report), **further, **facts)


def print_suites(*, as_json: bool) -> None:
    """Every suite: family, tasks, episodes, whether an expert ships, and what its number means."""
    from embodia.cli.main import print_json

    found = [
        {**suite.facts, "family": suite.family, "episodes": suite.episodes, "expert": has_expert(suite)}
        for suite in map(load, names())
    ]
    if as_json:
        print_json(found)
        return
    for entry in found:
        expert = "expert and random" if entry["expert"] else "random"
        print(f"{entry['name']:<28}{entry['episodes']:>4} a task   sanity: {expert:<20}{entry['protocol']}")


def print_report(report: dict[str, Any], out: Path) -> None:
    """The headline, each task and each control, with n and interval."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for name in ("", "success", "95 % interval", "n"):
        table.add_column(name, justify="left" if not name else "right")
    rows = [("all tasks", report), *report["per_task"].items()]
    if "needs_eyes" in report:
        rows.append((f"tasks that blind replay solves below {report['needs_eyes']['floor']:.0%}", report["needs_eyes"]))
    rows += [(f"control: {name}", entry) for name, entry in report["controls"].items()]
    for name, entry in rows:
        low, high = entry["interval"]
        table.add_row(name, f"{entry['success_rate']:.0%}", f"{low:.0%} to {high:.0%}", str(entry["n"]))
    console = Console()
    console.print(table)
    console.print(f"report: {out / 'report.html'}")
