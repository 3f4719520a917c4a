"""The zoo: every policy trained on the same demonstrations and budget, judged beside its controls, one file each.

The demonstrations are collected once; a policy that has its result is left out, one that was stopped goes on. Each
policy runs in a process of its own on one core, its budget is processor time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from embodia.core.errors import EmbodiaError

if TYPE_CHECKING:
    from embodia.evaluation.zoo.protocol import ZooConfig

EXAMPLES = (
    "embodia bench zoo --policy act",
    "embodia bench zoo --policy act pi0 --again",
    "embodia bench zoo --workers 2",
    "embodia bench zoo --dry --demonstrations 1",
    "embodia bench zoo --policy act --minutes 1 --results runs/quick",
    "embodia bench zoo --policy act pi0 --seed 1 --results results/zoo_seed1",
)


_FAILURES = (EmbodiaError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError)
"""What a policy that does not fit its data may raise; a rehearsal tells it and goes on."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Flags of `embodia bench`."""

    what: Annotated[Literal["zoo"], tyro.conf.Positional] = "zoo"
    """Which benchmark."""
    policy: tuple[str, ...] = ()
    """Policies; empty takes all."""
    minutes: float = 5.0
    """Processor time of training."""
    eye_minutes: float = 15.0
    """Processor time of teaching the eyes that all begin with, once; 0: every policy begins with random eyes."""
    episodes: int = 20
    """Judged episodes of each task."""
    demonstrations: int = 80
    """Demonstrations of each task."""
    seed: int = 0
    """Of training; another one, with results of its own, says how much a policy scatters when it is trained again."""
    workers: int = 1
    """Policies at once, one core each."""
    runs: Path = Path("runs/zoo")
    """Folder of demonstrations, runs and reports."""
    results: Path = Path("results/zoo")
    """Folder of result files."""
    dry: bool = False
    """Only rehearse: one batch and one decision of each policy, to see what fails and how fast the rest is."""
    again: bool = False
    """Begin anew where there is a result or an unfinished run."""
    json: bool = False
    """Print the rows as one JSON document."""


def run(options: Options) -> int:
    """Measure what has no result yet, print the table; 1 when a policy failed."""
    import torch

    from embodia.cli.progress import ProgressBar
    from embodia.evaluation.zoo import eyes as teaching
    from embodia.evaluation.zoo.bench import measured
    from embodia.policies import FOLDER

    torch.set_num_threads(1)
    config = _config(options)
    names = options.policy or tuple(FOLDER.names())
    for name in names:
        FOLDER.load(name)
    if options.dry:
        return _rehearse(names, options, config)
    todo = [name for name in names if options.again or not measured(options.results / f"{name}.json", config)]
    failed: list[str] = []
    if todo:
        with ProgressBar() as progress:
            data = {senses: path for senses, path, _ in _recorded(todo, options, config, progress)}
            eyes = teaching.taught_eyes(config, options.runs, progress)
            if len(todo) == 1:
                _measure(todo[0], options, config, data, eyes, progress)
            else:
                failed = _spread(todo, options, progress)
    _show(options, names)
    return int(bool(failed))


def _recorded(
    names: Sequence[str], options: Options, config: ZooConfig, progress: Any
) -> Iterator[tuple[str, Path, list[str]]]:
    """What has to be recorded for some policies, where it lies now, and who wants it."""
    from embodia.evaluation.zoo.bench import demonstrations, senses_of

    wanted: dict[str, list[str]] = {}
    for name in names:
        wanted.setdefault(senses_of(name, config), []).append(name)
    for senses, who in wanted.items():
        yield senses, demonstrations(config, options.runs, progress, options.workers, senses), who


def _rehearse(names: Sequence[str], options: Options, config: ZooConfig) -> int:
    """A line a policy; 1 when one failed."""
    from embodia.cli.progress import ProgressBar
    from embodia.evaluation.zoo.bench import rehearse

    failed = 0
    with ProgressBar() as progress:
        recorded = list(_recorded(names, options, config, progress))
    for _, data, who in recorded:
        for name in who:
            try:
                found = rehearse(name, config, data)
            except _FAILURES as error:
                failed += 1
                print(f"FAILED  {name:<22}{type(error).__name__}: {' '.join(str(error).split())[:300]}", flush=True)
                continue
            pace = f"{found.samples_per_s:7.0f} samples/s, decision {1e3 * found.decision_s:7.1f} ms"
            print(f"ok      {name:<22}{found.parameters / 1e6:6.2f} M, {pace}", flush=True)
    return int(failed > 0)


def _config(options: Options) -> ZooConfig:
    from embodia.evaluation.zoo.protocol import ZooConfig

    return ZooConfig(
        minutes=options.minutes,
        eye_minutes=options.eye_minutes,
        episodes=options.episodes,
        control_episodes=min(8, options.episodes),
        demonstrations=options.demonstrations,
        seed=options.seed,
    )


def _measure(
    name: str, options: Options, config: ZooConfig, data: dict[str, Path], eyes: tuple[str, ...], progress: Any
) -> None:
    from embodia.evaluation.zoo.bench import measure
    from embodia.evaluation.zoo.protocol import fingerprint
    from embodia.io.atomic import remove

    out = options.runs / fingerprint(config) / name
    if options.again:
        remove(out)
    ((senses, folder),) = data.items()
    measure(name, config, folder, out, options.results / f"{name}.json", progress, senses, eyes=eyes)


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
    """Empty when it went well, else the last lines of what it said; alone at work it shows its own progress."""
    words = [sys.executable, "-m", "embodia.cli", "bench", options.what, "--policy", name]
    for flag in ("minutes", "eye-minutes", "episodes", "demonstrations", "seed", "runs", "results"):
        words += [f"--{flag}", str(getattr(options, flag.replace("-", "_")))]
    words += ["--again"] if options.again else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    shown = None if options.workers == 1 else subprocess.PIPE
    done = subprocess.run(words, env=environment, stdout=subprocess.DEVNULL, stderr=shown, text=True, check=False)
    if done.returncode == 0:
        return ""
    return (done.stderr or "").strip()[-2000:] or f"status {done.returncode}"


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
