"""The zoo: every policy trained on the same demonstrations and budget, judged beside its controls, one file each.

The demonstrations are collected once; a policy that has its result is left out, one that was stopped goes on. Each
policy runs in a process of its own on one core, its budget is processor time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

if TYPE_CHECKING:
    from embodia.evaluation.zoo.protocol import ZooConfig

EXAMPLES = (
    "embodia bench zoo --policy act",
    "embodia bench zoo --policy act pi0 --again",
    "embodia bench zoo --workers 2",
    "embodia bench zoo --policy act --minutes 1 --results runs/quick",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Flags of `embodia bench`."""

    what: Annotated[Literal["zoo"], tyro.conf.Positional] = "zoo"
    """Which benchmark."""
    policy: tuple[str, ...] = ()
    """Policies; empty takes all."""
    minutes: float = 5.0
    """Processor time of training."""
    episodes: int = 20
    """Judged episodes of each task."""
    demonstrations: int = 80
    """Demonstrations of each task."""
    workers: int = 1
    """Policies at once, one core each."""
    runs: Path = Path("runs/zoo")
    """Folder of demonstrations, runs and reports."""
    results: Path = Path("results/zoo")
    """Folder of result files."""
    again: bool = False
    """Begin anew where there is a result or an unfinished run."""
    json: bool = False
    """Print the rows as one JSON document."""


def run(options: Options) -> int:
    """Measure what has no result yet, print the table; 1 when a policy failed."""
    from embodia.cli.progress import ProgressBar
    from embodia.evaluation.zoo.bench import demonstrations, measured, senses_of
    from embodia.policies import FOLDER

    config = _config(options)
    names = options.policy or tuple(FOLDER.names())
    for name in names:
        FOLDER.load(name)
    todo = [name for name in names if options.again or not measured(options.results / f"{name}.json", config)]
    failed: list[str] = []
    if todo:
        with ProgressBar() as progress:
            senses = {name: senses_of(name, config) for name in todo}
            data = {
                wanted: demonstrations(config, options.runs, progress, options.workers, wanted)
                for wanted in dict.fromkeys(senses.values())
            }
            if len(todo) == 1:
                _measure(todo[0], options, config, data, progress)
            else:
                failed = _spread(todo, options, progress)
    _show(options, names)
    return int(bool(failed))


def _config(options: Options) -> ZooConfig:
    from embodia.evaluation.zoo.protocol import ZooConfig

    return ZooConfig(
        minutes=options.minutes,
        episodes=options.episodes,
        control_episodes=min(8, options.episodes),
        demonstrations=options.demonstrations,
    )


def _measure(name: str, options: Options, config: ZooConfig, data: dict[str, Path], progress: Any) -> None:
    import torch

    from embodia.evaluation.zoo.bench import measure
    from embodia.evaluation.zoo.protocol import fingerprint
    from embodia.io.atomic import remove

    torch.set_num_threads(1)
    out = options.runs / fingerprint(config) / name
    if options.again:
        remove(out)
    ((senses, folder),) = data.items()
    measure(name, config, folder, out, options.results / f"{name}.json", progress, senses)


def _spread(names: Sequence[str], options: Options, progress: Any) -> list[str]:
    """Each policy in a process of its own; the names of those that failed, their last words on standard error."""
    failed: list[str] = []
    with ThreadPoolExecutor(options.workers) as pool:
        running = {pool.submit(_alone, name, options): name for name in names}
        for done, future in enumerate(as_completed(running), start=1):
            words = future.result()
            if words:
                failed.append(running[future])
                print(f"{running[future]} failed: {words}", file=sys.stderr)
            progress(f"policies | {running[future]}", done, len(names))
    return failed


def _alone(name: str, options: Options) -> str:
    """Empty when it went well, else the last lines of what it said."""
    words = [sys.executable, "-m", "embodia.cli", "bench", options.what, "--policy", name]
    for flag in ("minutes", "episodes", "demonstrations", "runs", "results"):
        words += [f"--{flag}", str(getattr(options, flag))]
    words += ["--again"] if options.again else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr.strip()[-2000:]


def _show(options: Options, names: Sequence[str]) -> None:
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from embodia.cli.main import print_json
    from embodia.evaluation.zoo.page import short
    from embodia.evaluation.zoo.rows import read_rows

    rows = [row for row in read_rows(options.results) if row.name in names]
    if options.json:
        print_json([asdict(row) for row in rows])
        return
    table = Table(box=None)
    for heading in ("policy", "success", "other sentence", "blank image", "M", "samples/s", "decision ms", "verdict"):
        table.add_column(heading, justify="left" if heading in ("policy", "verdict") else "right", no_wrap=True)
    for row in rows:
        controls = [short(row.controls[name]) for name in ("other_sentence", "blank_image")]
        cost = (f"{row.parameters / 1e6:.1f}", f"{row.samples_per_s:.0f}", f"{row.decision_ms:.1f}")
        table.add_row(row.name, short(row.rate), *controls, *cost, row.verdict)
    Console().print(table)
