"""Every LIBERO and LIBERO-PRO task through the adapter: it loads, resets, has a sentence and is not yet solved.

Also a random policy on a handful of tasks (what success costs nothing) and the cost of a picture under each profile.
Run: `python benchmarks/libero_adapter.py`; adds to results/libero_adapter.json, so a run that was cut off goes on
where it stopped. Takes ten to twenty minutes on one core; `seconds` in the result are processor seconds.
"""

from __future__ import annotations

import argparse
import platform
import resource
import subprocess
import time
from collections.abc import Iterable
from functools import partial
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
from embodia.io.jsonio import read_json

STILL = np.zeros(7)
PROFILES = ("faithful", "fast", "coarse")
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


def sweep(result: dict[str, Any], out: Path, limit: int) -> None:
    """Every task of every suite that the result does not have yet; `limit` tasks a suite when positive."""
    env = envs.make("libero", EnvConfig(height=64, width=64))
    found = result.setdefault("suites", {})
    for suite in libero.suites():
        if suite.name in found:
            continue
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
        result["tasks_standard"] = sum(found[name]["loaded_and_reset"] for name in libero.STANDARD if name in found)
        result["tasks_perturbed"] = sum(found[name]["loaded_and_reset"] for name in libero.PERTURBED if name in found)
        write_json(out, result)
    env.close()


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


def random_policy(result: dict[str, Any], episodes: int) -> None:
    """Uniform actions on a handful of tasks."""
    env = envs.make("libero", EnvConfig(tasks=RANDOM_TASKS))
    per_task, total = {}, 0
    for task in RANDOM_TASKS:
        wins = 0
        for seed in track(range(episodes), description=f"random policy, {task}"):
            env.reset(task, seed)
            rng, done = generator(seed, task), False
            while not done:
                _, _, terminated, truncated, info = env.step(rng.uniform(-1.0, 1.0, 7))
                done = terminated or truncated
            wins += info["success"]
        total += wins
        per_task[task] = {"success_rate": wins / episodes, "n": episodes, "interval": list(wilson(wins, episodes))}
    env.close()
    n = episodes * len(per_task)
    result.update(success_rate=total / n, n=n, interval=list(wilson(total, n)), per_task=per_task, controls={})


def speed(result: dict[str, Any], frames: int) -> None:
    """Processor milliseconds a picture and a control step cost, by profile, size and camera."""
    found: dict[str, Any] = {}
    for task in ("libero_spatial/0", "libero_10/0"):
        for camera, size in (("agentview", 128), ("agentview", 256), ("wrist", 128), ("wrist", 256)):
            for profile in PROFILES:
                env = envs.make("libero", EnvConfig(profile=profile, cameras=(camera,), height=size, width=size))
                env.reset(task, 0)
                env.observe()
                found[f"{task} {camera} {size} px {profile}"] = _timed(env.observe, frames)
                if camera == "agentview" and size == 128 and profile == "fast":
                    found[f"{task} control step"] = _timed(lambda env=env: env.step(STILL), frames)
                    found[f"{task} control step, package's"] = _timed(partial(env.simulation._env.step, STILL), frames)
                env.close()
    result["speed"] = found
    for profile in PROFILES[1:]:
        pairs = [(row, found[f"{name[:-8]}{profile}"]) for name, row in found.items() if name.endswith(" faithful")]
        ratios = [slow["cpu_ms"] / quick["cpu_ms"] for slow, quick in pairs]
        summary = {"median": float(np.median(ratios)), "lowest": min(ratios), "highest": max(ratios)}
        result[f"{profile}_over_faithful"] = summary


def _timed(call: Any, times: int) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(times):
        call()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"cpu_ms": round(1000 * cpu / times, 2), "wall_ms": round(1000 * wall / times, 2)}


def main() -> None:
    """Measure what is asked for and store it beside what was measured before."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/libero_adapter.json"))
    parser.add_argument("--parts", nargs="+", default=["speed", "random", "sweep"], help="what to measure")
    parser.add_argument("--limit", type=int, default=0, help="tasks a suite; 0 means all")
    parser.add_argument("--episodes", type=int, default=5, help="episodes a task of the random policy")
    parser.add_argument("--frames", type=int, default=20, help="pictures a timing")
    chosen = parser.parse_args()
    result: dict[str, Any] = read_json(chosen.out) if chosen.out.exists() else {}
    started = time.process_time()
    result.update(
        notes="success_rate is that of uniform random actions; suites hold the adapter's own checks at start state 0",
        versions={
            **envs.make("libero").provenance.versions,
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
        command="python benchmarks/libero_adapter.py",
        commit=subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip(),
        seed=0,
        hardware=f"{platform.machine()}, one core, software OpenGL",
    )
    if "speed" in chosen.parts:
        speed(result, chosen.frames)
    if "random" in chosen.parts:
        random_policy(result, chosen.episodes)
    if "sweep" in chosen.parts:
        sweep(result, chosen.out, chosen.limit)
    result["seconds"] = round(result.get("seconds", 0.0) + time.process_time() - started, 1)
    result["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    write_json(chosen.out, result)


if __name__ == "__main__":
    main()
