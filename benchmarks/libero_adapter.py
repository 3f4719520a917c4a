"""Every LIBERO and LIBERO-PRO task through the adapter: it loads, resets, has a sentence and is not yet solved.

Also a random policy on a handful of tasks (what success costs nothing) and the cost of a picture under each profile.
Run: `python benchmarks/libero_adapter.py`; writes results/libero_adapter.json. Takes ten to twenty minutes on one core.
"""

from __future__ import annotations

import argparse
import platform
import resource
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from embodia import envs
from embodia.core.errors import EmbodiaError
from embodia.core.seeds import generator
from embodia.core.types import check_observation
from embodia.envs.adapters import libero
from embodia.envs.protocol import EnvConfig
from embodia.evaluation.statistics import wilson
from embodia.io.atomic import write_json

STILL = np.zeros(7)
RANDOM_TASKS = ("libero_spatial/0", "libero_object/0", "libero_goal/4", "libero_goal/7", "libero_10/2", "libero_90/0")


def look_at(env: Any, task: str) -> dict[str, Any]:
    """One task: loaded, reset at start 0, stepped, judged."""
    started = time.perf_counter()
    observation = env.reset(task, 0)
    seconds = time.perf_counter() - started
    check_observation(observation, env.contract.observation, where=task)
    solved_at_start = env.judge(task)
    for _ in range(3):
        _, _, terminated, _, _ = env.step(STILL)
    partners = env.scene_partners(task)
    sentence = env.instructions(task)[0]
    return {
        "solved_at_start": bool(solved_at_start or terminated),
        "sentence_is_not_the_file_name": sentence.replace(" ", "_") not in task.lower(),
        "sentence": sentence,
        "partners": len(partners),
        "partners_solved_at_start": sum(env.judge(partner) for partner in partners),
        "starts": len(env._files.states(task)),
        "seconds": seconds,
    }


def sweep(limit: int) -> dict[str, Any]:
    """Every task of every suite; `limit` tasks a suite when positive."""
    env = envs.make("libero", EnvConfig(height=64, width=64))
    found: dict[str, Any] = {}
    for suite in libero.suites():
        rows: dict[str, Any] = {}
        errors: dict[str, str] = {}
        for task in track(suite.tasks[: limit or None], description=suite.name):
            try:
                rows[task] = look_at(env, task)
            except EmbodiaError as error:
                errors[task] = str(error)
        if rows:
            check_observation(env.observe(), env.contract.observation, where=suite.name)
        found[suite.name] = _summary(rows.values(), len(suite.tasks), errors)
    env.close()
    return found


def _summary(rows: Iterable[dict[str, Any]], tasks: int, errors: dict[str, str]) -> dict[str, Any]:
    listed = list(rows)
    return {
        "tasks": tasks,
        "loaded_and_reset": len(listed),
        "unsolved_at_start": sum(not row["solved_at_start"] for row in listed),
        "solved_at_start": [row["sentence"] for row in listed if row["solved_at_start"]],
        "sentence_read": sum(bool(row["sentence"]) for row in listed),
        "sentence_is_not_the_file_name": sum(row["sentence_is_not_the_file_name"] for row in listed),
        "partners": [row["partners"] for row in listed],
        "partners_solved_at_start": sum(row["partners_solved_at_start"] for row in listed),
        "start_states": sorted({row["starts"] for row in listed}),
        "seconds_to_reset": {"median": float(np.median([row["seconds"] for row in listed])) if listed else 0.0},
        "errors": errors,
    }


def random_policy(episodes: int) -> dict[str, Any]:
    """Uniform actions on a handful of tasks."""
    env = envs.make("libero", EnvConfig(tasks=RANDOM_TASKS))
    per_task = {}
    for task in RANDOM_TASKS:
        wins = 0
        for seed in track(range(episodes), description=f"random policy, {task}"):
            env.reset(task, seed)
            rng, done = generator(seed, task), False
            while not done:
                _, _, terminated, truncated, info = env.step(rng.uniform(-1.0, 1.0, 7))
                done = terminated or truncated
            wins += info["success"]
        per_task[task] = {"success_rate": wins / episodes, "n": episodes, "interval": list(wilson(wins, episodes))}
    env.close()
    wins, n = round(sum(row["success_rate"] * row["n"] for row in per_task.values())), episodes * len(per_task)
    return {"success_rate": wins / n, "n": n, "interval": list(wilson(wins, n)), "per_task": per_task}


def speed(frames: int) -> dict[str, Any]:
    """Processor milliseconds a picture and a control step cost, by profile, size and camera."""
    found: dict[str, Any] = {}
    for task in ("libero_spatial/0", "libero_10/0"):
        for profile in ("faithful", "fast"):
            for camera, size in (("agentview", 128), ("agentview", 256), ("wrist", 128), ("wrist", 256)):
                env = envs.make("libero", EnvConfig(profile=profile, cameras=(camera,), height=size, width=size))
                env.reset(task, 0)
                env.observe()
                row = _timed(env.observe, frames)
                found[f"{task} {camera} {size} px {profile}"] = row
                if camera == "agentview" and size == 128:
                    found[f"{task} control step, {profile}"] = _timed(lambda env=env: env.step(STILL), frames)
                env.close()
    return found


def _timed(call: Any, times: int) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(times):
        call()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"cpu_ms": round(1000 * cpu / times, 2), "wall_ms": round(1000 * wall / times, 2)}


def main() -> None:
    """Measure and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/libero_adapter.json"))
    parser.add_argument("--limit", type=int, default=0, help="tasks a suite; 0 means all")
    parser.add_argument("--episodes", type=int, default=5, help="episodes a task of the random policy")
    parser.add_argument("--frames", type=int, default=20, help="pictures a timing")
    chosen = parser.parse_args()
    started = time.perf_counter()
    pictures, suites, chance = speed(chosen.frames), sweep(chosen.limit), random_policy(chosen.episodes)
    ratios = [
        row["cpu_ms"] / pictures[name.replace("faithful", "fast")]["cpu_ms"]
        for name, row in pictures.items()
        if name.endswith("px faithful")
    ]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    versions = envs.make("libero").provenance.versions
    result = {
        **{key: chance[key] for key in ("success_rate", "n", "interval", "per_task")},
        "controls": {},
        "notes": "success_rate is that of uniform random actions; suites hold the adapter's own checks",
        "suites": suites,
        "tasks_standard": sum(suites[name]["loaded_and_reset"] for name in libero.STANDARD),
        "tasks_perturbed": sum(suites[name]["loaded_and_reset"] for name in libero.PERTURBED),
        "speed": pictures,
        "fast_over_faithful": {"median": float(np.median(ratios)), "lowest": min(ratios), "highest": max(ratios)},
        "seconds": round(time.perf_counter() - started, 1),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "versions": {**versions, "python": platform.python_version(), "numpy": np.__version__},
        "command": "python benchmarks/libero_adapter.py",
        "commit": commit,
        "seed": 0,
        "hardware": f"{platform.machine()}, one core, software OpenGL",
    }
    write_json(chosen.out, result)


if __name__ == "__main__":
    main()
