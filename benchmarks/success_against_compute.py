"""What more training buys: each milestone of a recipe's run judged on the same episodes, put into its result file.

Run after `embodia run metaworld_mt50 --out runs/mt50`, whose training keeps a checkpoint at every milestone:
`python benchmarks/success_against_compute.py metaworld_mt50 --out runs/mt50`. What to watch: the rate of learning
falls towards the end of a run, so a milestone is less than a run of that budget would have reached.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from embodia.cli.progress import ProgressBar
from embodia.cli.recipes import FOLDER
from embodia.evaluation.checkpoints import judge
from embodia.evaluation.plans import EvalConfig
from embodia.evaluation.results import read_result
from embodia.io.atomic import write_json
from embodia.training.checkpoint import FOLDER_NAME, Store, step_of
from embodia.training.metrics import read

RATE = ("success_rate", "n", "interval", "text")


def main() -> None:
    """Judge what is not yet in the file, oldest first; each is written at once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--result", type=Path, help="file to add to; OUT/result.json when not given")
    parser.add_argument("--episodes", type=int, default=2, help="of each task")
    options = parser.parse_args()
    path = options.result or options.out / "result.json"
    recipe, found = FOLDER.load(options.recipe).recipe(), read_result(path)
    config = replace(recipe.evaluate, episodes=options.episodes, control_episodes=0, controls=(), clips=0)
    lines, batch = read(options.out / "train"), recipe.train.batch_size
    rows = {row["samples"]: row for row in found.get("against_compute", {}).get("rows", [])}
    for checkpoint in Store(options.out / "train" / FOLDER_NAME).complete():
        step = step_of(checkpoint)
        if step * batch not in rows:
            report = _judged(checkpoint, options.out, config)
            rows[step * batch] = {"samples": step * batch, "seconds": spent(lines, step), **_rate(report)}
            kept = {
                "command": shlex.join(["python", f"benchmarks/{Path(__file__).name}", *sys.argv[1:]]),
                "rows": [rows[key] for key in sorted(rows)],
            }
            write_json(path, {**found, "against_compute": kept})


def spent(lines: Sequence[Mapping[str, Any]], step: int) -> int:
    """Wall-clock seconds of training up to `step`, over all resumes."""
    return round(max((line["seconds"] for line in lines if "seconds" in line and line["step"] <= step), default=0))


def _judged(checkpoint: Path, out: Path, config: EvalConfig) -> dict[str, Any]:
    with ProgressBar() as progress:
        return judge(checkpoint, [out / "data"], config, out / "milestones" / checkpoint.name, progress=progress)


def _rate(report: Mapping[str, Any]) -> dict[str, Any]:
    return {key: report[key] for key in RATE}


if __name__ == "__main__":
    main()
