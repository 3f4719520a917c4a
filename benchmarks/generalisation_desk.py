"""What is left of a policy's success on Desk when one thing changes: 22 axes, five scores, intention, objects.

python benchmarks/generalisation_desk.py --run runs/desk/train --data runs/desk/data --episodes 12
"""

import argparse
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from embodia.envs.desk.knobs import KNOBS
from embodia.evaluation.facts import run_facts
from embodia.evaluation.generalisation.axes import play_axes, report
from embodia.evaluation.generalisation.objects import CONDITIONS, presented
from embodia.evaluation.generalisation.playing import PlayConfig, keys, play
from embodia.evaluation.generalisation.shifts import Shift, table
from embodia.evaluation.results import write_result
from embodia.evaluation.statistics import rate_of
from embodia.evaluation.summary import rate_entry
from embodia.generate.collect import read_settings
from embodia.training.checkpoint import find, load_policy


def main() -> None:
    """Play, print and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--episodes", type=int, default=12)
    parser.add_argument("--execute", type=int, default=4)
    parser.add_argument("--horizon", type=int, default=60)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--codes", nargs="*", default=list(KNOBS))
    parser.add_argument("--objects", action="store_true")
    parser.add_argument("--out", default="results/generalisation_desk.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began = time.time()
    policy, spec, _ = load_policy(find(arguments.run))
    env = replace(read_settings(arguments.data).env, horizon=arguments.horizon)
    config = PlayConfig(
        env=env,
        tasks=env.tasks,
        episodes=arguments.episodes,
        execute=arguments.execute,
        workers=arguments.workers,
    )
    shifts = play_axes(policy, config, codes=arguments.codes, progress=_tell(began))
    found = report(shifts)
    plain = [outcome for shift in shifts for outcome in shift.plain]
    shown = [outcome for shift in shifts for outcome in shift.shifted]
    if arguments.objects:
        found["objects"] = table(_objects(policy, config, began))
    write_result(
        arguments.out,
        {
            **rate_entry(rate_of(shown)),
            "controls": {"the same episodes unchanged": rate_entry(rate_of(plain))},
            "per_task": {row["name"]: row["shifted"] for row in found["axes"]},
            "seconds": time.time() - began,
            **run_facts(" ".join(["python", "benchmarks/generalisation_desk.py", *_plain_arguments()])),
            "seed": 0,
            "notes": [
                f"Policy: {spec.name} {spec.size}, trained on {len(env.tasks)} tasks of Desk without these changes.",
                "per_task: success under each axis at full strength; with n = 0 the axis could not be played.",
                "Unchanged episodes that several axes share are counted once for each of them.",
            ],
        },
        **found,
    )
    for row in found["axes"]:
        print(row["name"], row["plain"]["text"], row["shifted"]["text"], row.get("intended", {}).get("text"), sep="  ")
    print(found["scores"])


def _objects(policy: object, config: PlayConfig, began: float) -> list[Shift]:
    pairs = [key for key in keys(config) if not key[0].startswith("button")]
    outcomes = {}
    for condition in CONDITIONS:
        prepare = partial(presented, condition=condition)
        played = play(policy, config, pairs, prepare, name=condition, progress=_tell(began)) or []  # type: ignore
        outcomes[condition] = tuple(result.success for result in played)
    return [
        Shift(name=name, group="object", title=name, plain=outcomes["seen"], shifted=outcomes[name])
        for name in CONDITIONS[1:]
    ]


def _tell(began: float):  # noqa: ANN202
    def tell(name: str, done: int, total: int) -> None:
        if done == total:
            print(f"{time.time() - began:.0f} s  {name} {done}", flush=True)

    return tell


def _plain_arguments() -> list[str]:
    return ["--run RUN --data DATA" if item in ("--run",) else item for item in _without_paths(sys.argv[1:])]


def _without_paths(items: list[str]) -> list[str]:
    kept, skip = [], False
    for item in items:
        if skip:
            skip = False
            continue
        skip = item in ("--data", "--run")
        if item != "--data":
            kept.append(item)
    return kept


if __name__ == "__main__":
    main()
