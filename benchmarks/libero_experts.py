"""How often the scripted experts of LIBERO succeed: 40 tasks of four suites, ten attempts each, nothing drawn.

Half of the attempts begin at start states that the benchmark ships (seeds 0-4), half at starts drawn by its own
placement (seeds 100-104), which is where demonstrations come from. An attempt counts when the benchmark's predicates
hold within the suite's step limit, for five more steps, and at the end: the rule by which demonstrations are kept.
Run: `python benchmarks/libero_experts.py --workers 2`; it stores after every attempt and goes on where it stopped.
`--again SUITE/INDEX ...` forgets the attempts at those tasks first.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from embodia import envs
from embodia.envs.adapters.libero import HORIZONS, suites
from embodia.envs.protocol import EnvConfig
from embodia.envs.workers import Pool
from embodia.evaluation.facts import run_facts
from embodia.evaluation.results import write_result
from embodia.evaluation.statistics import Rate
from embodia.evaluation.summary import rate_entry
from embodia.generate import experts
from embodia.io.jsonio import read_json

SUITES = ("libero_object", "libero_spatial", "libero_goal", "libero_10")
ROUNDS = ((0, 1, 100, 101), (2, 3, 4, 102, 103, 104))
SETTLE = 5
GOAL = 0.6


def player() -> Callable[[tuple[str, int]], dict[str, Any]]:
    """One environment and one expert, for one worker: (task, seed) -> what came of it."""
    env = envs.make("libero", EnvConfig(success_ends=False))

    def play(job: tuple[str, int]) -> dict[str, Any]:
        task, seed = job
        wall, cpu = time.perf_counter(), time.process_time()
        expert = experts.make("libero", task)
        env.reset(task, seed)
        expert.begin()
        held = steps = 0
        info = {"success": False, "unstable": False}
        while steps < HORIZONS[task.split("/")[0]]:
            info, steps = env.step(expert.act(env))[4], steps + 1
            held += info["success"]
            if held > SETTLE or info["unstable"]:
                break
        return {
            "task": task,
            "seed": seed,
            "success": bool(info["success"]),
            "ever": held > 0,
            "steps": steps,
            "seconds": round(time.perf_counter() - wall, 2),
            "cpu_seconds": round(time.process_time() - cpu, 2),
        }

    return play


def report(attempts: list[dict[str, Any]], workers: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The shared keys of a result, and what else is worth knowing."""

    def rate(chosen: list[dict[str, Any]]) -> dict[str, Any]:
        return rate_entry(Rate(successes=sum(item["success"] for item in chosen), n=len(chosen)))

    by_task = {task: [a for a in attempts if a["task"] == task] for task in sorted({a["task"] for a in attempts})}
    by_suite = {name: [a for a in attempts if a["task"].split("/")[0] == name] for name in SUITES}
    drawn = {kind: [a for a in attempts if (a["seed"] >= 50) == (kind == "drawn")] for kind in ("shipped", "drawn")}
    good = [task for task, chosen in by_task.items() if np.mean([a["success"] for a in chosen]) >= GOAL]
    shared = {
        **rate(attempts),
        "controls": {},
        "per_task": {task: rate(chosen) for task, chosen in by_task.items()},
        "seconds": round(sum(a["seconds"] for a in attempts), 1),
        **run_facts(f"python benchmarks/libero_experts.py --workers {workers}"),
        "seed": 0,
        "notes": "success_rate is that of the scripted experts, judged by the benchmark's predicates, which have to "
        "hold at the end; seeds 0-4 are shipped starts, 100-104 drawn ones; no pictures; seconds are those of attempts "
        "added, on a machine that others use too, cpu_seconds are processor time.",
    }
    further = {
        "suites": {name: rate(chosen) for name, chosen in by_suite.items() if chosen},
        "starts": {kind: rate(chosen) for kind, chosen in drawn.items() if chosen},
        "tasks_at_60_percent": len(good),
        "tasks_below": sorted(set(by_task) - set(good)),
        "seconds_per_episode": _middle(attempts, "seconds"),
        "cpu_seconds_per_episode": _middle(attempts, "cpu_seconds"),
        "steps_per_episode": {task: _middle(chosen, "steps") for task, chosen in by_task.items()},
        "attempts": attempts,
    }
    return shared, further


def _next(waiting: list[tuple[str, int]], last: dict[int, str], worker: int) -> tuple[str, int]:
    """Take a job of the scene that the worker has, else of one that no other worker has: scenes cost seconds."""
    now = [job for job in waiting if job[1] in ROUNDS[0]] or waiting
    mine = [job for job in now if job[0] == last.get(worker)]
    free = [job for job in now if job[0] not in last.values()]
    job = (mine or free or now)[0]
    waiting.remove(job)
    return job


def _middle(attempts: list[dict[str, Any]], key: str) -> float:
    return float(np.median([a[key] for a in attempts]))


def main() -> None:
    """Play what is missing and store it beside what was played before."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/libero_experts.json"))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--again", nargs="*", default=[], help="tasks to forget, SUITE/INDEX")
    chosen = parser.parse_args()
    tasks = {suite.name: suite.tasks for suite in suites()}
    forget = {tasks[item.split("/")[0]][int(item.split("/")[1])] for item in chosen.again}
    attempts = read_json(chosen.out)["attempts"] if chosen.out.exists() else []
    attempts = [item for item in attempts if item["task"] not in forget]
    done = {(item["task"], item["seed"]) for item in attempts}
    jobs = [(task, seed) for seeds in ROUNDS for suite in SUITES for task in tasks[suite] for seed in seeds]
    jobs = [job for job in jobs if job not in done]
    count = min(chosen.workers, len(jobs))
    with Pool(player, [()] * count, name="libero expert") as pool, Progress() as progress:
        bar = progress.add_task("attempts", total=len(jobs))
        waiting, busy, last = list(jobs), 0, dict[int, str]()
        while waiting or busy:
            for worker in pool.idle:
                if waiting:
                    job = _next(waiting, last, worker)
                    last[worker] = job[0]
                    pool.send(worker, job, doing=f"attempting {job[0]} from seed {job[1]}")
                    busy += 1
            for _, attempt in pool.receive():
                busy -= 1
                attempts.append(attempt)
                progress.update(bar, advance=1, description=f"{sum(a['success'] for a in attempts)} successes")
            shared, further = report(attempts, chosen.workers)
            write_result(chosen.out, shared, **further)


if __name__ == "__main__":
    main()
