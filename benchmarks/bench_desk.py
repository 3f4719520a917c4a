"""Desk's speeds, its batch of different worlds, and its experts: `python benchmarks/bench_desk.py [--episodes 2]`.

Writes results/desk.json. Single-world figures are steps a second of processor time (median of repeats), which hardly
depend on what else the machine does; batch figures stand both by the clock and per second of processor time. Frames
are counted in ManiSkill3's way: worlds x steps over the time for simulation and pictures together, random actions.
"""

from __future__ import annotations

import argparse
import os
import statistics as middle
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from embodia import envs
from embodia.core.seeds import generator
from embodia.envs import EnvConfig
from embodia.envs.adapters.desk import DeskEnv
from embodia.envs.desk import tasks
from embodia.envs.desk.batch import WorldBatch
from embodia.envs.desk.bodies import BODIES
from embodia.envs.desk.raster import Raster
from embodia.envs.desk.scenes import Fixture, Scene, Thing
from embodia.envs.desk.world import World
from embodia.envs.protocol import CameraView
from embodia.evaluation.facts import run_facts
from embodia.evaluation.results import write_result
from embodia.evaluation.statistics import Rate
from embodia.evaluation.summary import rate_entry
from embodia.generate import experts

PLAYED = ("reach/red-cube", "push/red-cube/left", "place/red-cube/bowl", "stack/red-cube/blue-cube", "drawer/open/red")
SHAPES = (("box", (0.02, 0.02, 0.02)), ("sphere", (0.02,)), ("cylinder", (0.02, 0.02)), ("capsule", (0.015, 0.02)))
VIEW = CameraView(name="front", height=64, width=64)
THREADS = 2


def per_second(call: Callable[[], object], count: int, repeats: int, clock: Callable[[], float]) -> float:
    """Median over repeats of how often a second `call` runs, after one call to warm up."""
    call()
    found = []
    for _ in range(repeats):
        start = clock()
        for _ in range(count):
            call()
        found.append(count / (clock() - start))
    return middle.median(found)


def step_speed(task: str, *, pictures: bool) -> float:
    """Control steps a second of `DeskEnv`, with one 64 px picture a step or none, under random actions."""
    env = envs.make("desk", EnvConfig(height=64, width=64, success_ends=False))
    env.reset(task, 0)
    rng = generator(0, "bench", task)

    def once() -> None:
        env.step(rng.uniform(-1.0, 1.0, 6))
        if pictures:
            env.observe()

    found = per_second(once, 100, 7, time.process_time)
    env.close()
    return found


def picture_speed(task: str) -> float:
    """Colour, depth and segmentation at 64 px of one world in one pass, frames a second of processor time."""
    env = envs.make("desk")
    assert isinstance(env, DeskEnv)
    env.reset(task, 0)
    env.world.refresh()
    raster = Raster(env.world.model, (VIEW,))
    return per_second(lambda: raster.draw(env.world.data), 300, 7, time.process_time)


def mixed_scene(seed: int) -> Scene:
    """A scene of one of the five bodies with none to five things of any shape, and perhaps a drawer."""
    rng = generator(seed, "mixed scene")
    things = []
    for number in range(int(rng.integers(0, 6))):
        shape, size = SHAPES[int(rng.integers(len(SHAPES)))]
        scale = float(rng.uniform(0.8, 1.2))
        place = (0.1 * (number % 3) - 0.1, 0.14 * (number // 3) - 0.07, 0.05)
        grown = tuple(scale * value for value in size)
        things.append(Thing(name=f"thing{number}", shape=shape, size_m=grown, position_m=place))
    drawer = Fixture(kind="drawer", name="drawer", size_m=(0.08, 0.07, 0.05), position_m=(0.25, 0.0, 0.0))
    names = tuple(sorted(BODIES))
    return Scene(body=names[seed % 5], things=tuple(things), fixtures=(drawer,) * (seed % 2))


def batch_equality(worlds: int, steps: int) -> dict[str, float]:
    """How far a batch of different worlds is from its worlds alone after some random steps, and how they differ."""
    scenes = [mixed_scene(seed) for seed in range(worlds)]
    with WorldBatch(scenes, threads=THREADS) as batch:
        freedoms = {world.model.nv for world in batch.worlds}
        dims = [world.action_spec.dim for world in batch.worlds]
        chosen = [
            [generator(step, w, "action").uniform(-1, 1, dims[w]) for w in range(worlds)] for step in range(steps)
        ]
        for actions in chosen:
            batch.step(actions)
        worst = 0.0
        for number in track(range(worlds), description="worlds alone"):
            alone = World(scenes[number])
            for actions in chosen:
                alone.apply(actions[number])
            worst = max(worst, float(np.abs(alone.state() - batch.worlds[number].state()).max()))
    return {
        "worlds": worlds,
        "steps": steps,
        "largest_difference": worst,
        "different_degrees_of_freedom": len(freedoms),
    }


def batch_speed(worlds: int, *, pictures: bool, clock: Callable[[], float]) -> float:
    """World steps a second, with RGB-D and segmentation at 64 px or without, all worlds arm7."""
    names = [PLAYED[number % len(PLAYED)] for number in range(worlds)]
    scenes = [tasks.get(name).scene(generator(seed, "batch", name)) for seed, name in enumerate(names)]
    rng = generator(0, "batch actions")
    with WorldBatch(scenes, threads=THREADS) as batch:

        def once() -> None:
            batch.step(rng.uniform(-1.0, 1.0, (worlds, 6)))
            if pictures:
                batch.draw((VIEW,))

        return worlds * per_second(once, 2, 5, clock)


def drawing_speed(worlds: int, clock: Callable[[], float]) -> float:
    """RGB-D and segmentation frames a second, pictures alone."""
    scenes = [tasks.get(PLAYED[n % len(PLAYED)]).scene(generator(n, "draw")) for n in range(worlds)]
    with WorldBatch(scenes, threads=THREADS) as batch:
        return worlds * per_second(lambda: batch.draw((VIEW,)), 5, 5, clock)


def played(body: str) -> dict[str, str]:
    """Row of the report -> task, for every task that a body can do; "arm6/reach/red-cube" where it is another's."""
    names = tasks.names(body=body)
    return {name if tasks.get(name).body == body else f"{body}/{name}": name for name in names}


def expert_success(body: str, rows: Mapping[str, str], episodes: int) -> dict[str, Rate]:
    """Row -> how often the expert of its task succeeds from `episodes` seeds within the horizon of the body."""
    env = envs.make("desk", EnvConfig(options={"body": body}))
    found = {}
    for row, name in track(rows.items(), description=f"experts of {body}"):
        done = sum(_succeeds(env, name, seed) for seed in range(episodes))
        found[row] = Rate(successes=done, n=episodes)
    env.close()
    return found


def _succeeds(env: Any, name: str, seed: int) -> bool:
    env.reset(name, seed)
    expert = experts.make("desk", name)
    expert.begin()
    while True:
        _, _, terminated, truncated, info = env.step(expert.act(env))
        if terminated or truncated:
            return bool(info["success"])


def by_family(body: str, rows: Mapping[str, str], rates: Mapping[str, Rate]) -> dict[str, dict[str, Any]]:
    """Rates of the tasks of one body and family together."""
    found: dict[str, list[Rate]] = {}
    for row, name in rows.items():
        found.setdefault(f"{body}/{tasks.get(name).family}", []).append(rates[row])
    return {key: rate_entry(_total(group)) for key, group in found.items()}


def _total(rates: Sequence[Rate]) -> Rate:
    return Rate(successes=sum(rate.successes for rate in rates), n=sum(rate.n for rate in rates))


def main() -> None:
    """Measure everything and write the result file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--episodes", type=int, default=2, help="episodes of each task for its expert")
    parser.add_argument("--worlds", type=int, default=256, help="worlds in the batch")
    parser.add_argument("--out", type=Path, default=Path("results/desk.json"))
    options = parser.parse_args()
    begun = time.perf_counter()
    bare = {name: step_speed(name, pictures=False) for name in PLAYED}
    seen = {name: step_speed(name, pictures=True) for name in PLAYED}
    drawn = {name: picture_speed(name) for name in PLAYED}
    equality = batch_equality(options.worlds, 10)
    clocks = {"by_the_clock": time.perf_counter, "of_processor_time": time.process_time}
    together = {"threads": THREADS, "worlds": options.worlds} | {
        name: {
            "world_steps_per_s": batch_speed(options.worlds, pictures=False, clock=clock),
            "world_steps_per_s_with_rgbd_segmentation_64px": batch_speed(options.worlds, pictures=True, clock=clock),
            "rgbd_segmentation_frames_per_s_64px": drawing_speed(options.worlds, clock),
        }
        for name, clock in clocks.items()
    }
    rows = {body: played(body) for body in BODIES}
    each = {body: expert_success(body, rows[body], options.episodes) for body in BODIES}
    rates = {row: rate for found in each.values() for row, rate in found.items()}
    load = f"{os.getloadavg()[0]:.1f}"
    report = {
        **rate_entry(_total(list(rates.values()))),
        "controls": {},
        "per_task": {name: rate_entry(rate) for name, rate in rates.items()},
        "seconds": time.perf_counter() - begun,
        **run_facts(f"python benchmarks/bench_desk.py --episodes {options.episodes} --worlds {options.worlds}"),
        "seed": 0,
        "notes": "success_rate is that of the experts over all tasks of all bodies. Single-world figures: per second "
        "of processor time on one core, random actions, medians of 7 repeats. Batch figures: two threads; by the clock "
        f"on a machine that others use too (load {load}), and per second of processor time, both threads added.",
    }
    write_result(
        options.out,
        report,
        steps_per_s=middle.median(bare.values()),
        steps_per_s_64px=middle.median(seen.values()),
        frames_per_s_64px=middle.median(drawn.values()),
        by_task={"steps_per_s": bare, "steps_per_s_64px": seen, "frames_per_s_64px": drawn},
        worlds_in_one_batch=options.worlds,
        batch_equality=equality,
        batch=together,
        expert_success={name: rate.successes / rate.n for name, rate in rates.items()},
        expert_success_by_family={
            key: entry for body in BODIES for key, entry in by_family(body, rows[body], each[body]).items()
        },
    )


if __name__ == "__main__":
    main()
