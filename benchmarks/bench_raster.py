"""Frames a second of Desk's own renderer, against MuJoCo's: `python benchmarks/bench_raster.py [out.json]`.

Worlds of arm7 with eight loose things each, all different. One frame is colour + depth + segmentation. The two
renderers run in turn, round by round; per-core numbers are processor time, which hardly depends on what else the
machine does, two-core numbers are wall time. "steps" follows ManiSkill3's GPU benchmark: uniform random actions, every
world stepped and one camera drawn at every control step, frames = steps x worlds.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from embodia.envs.desk import tasks
from embodia.envs.desk.batch import WorldBatch
from embodia.envs.desk.raster import Raster, RasterBatch
from embodia.envs.desk.scenes import Scene, Thing
from embodia.envs.desk.world import World
from embodia.envs.drawing import Painter
from embodia.envs.profiles import profile
from embodia.envs.protocol import CameraView
from embodia.evaluation.facts import run_facts
from embodia.io import atomic

ROUNDS, WORLDS, STEPS, STEPPED = 9, 128, 50, 64
SHAPES = {
    "box": (0.02, 0.025, 0.02),
    "sphere": (0.022,),
    "cylinder": (0.02, 0.025),
    "capsule": (0.015, 0.02),
    "ellipsoid": (0.02, 0.03, 0.02),
}


def crowded(scene: Scene, rng: np.random.Generator) -> Scene:
    """The scene with loose things added until there are eight."""
    extra = []
    for number in range(8 - len(scene.things)):
        shape = list(SHAPES)[int(rng.integers(len(SHAPES)))]
        x, y, red, green, blue = rng.uniform((-0.15, -0.3, 0, 0, 0), (0.25, 0.3, 1, 1, 1))
        extra.append(
            Thing(
                name=f"extra-{number}",
                shape=shape,
                size_m=SHAPES[shape],
                rgba=(red, green, blue, 1.0),
                position_m=(x, y, 0.04),
                yaw_rad=rng.uniform(0, 3),
            )
        )
    return replace(scene, things=(*scene.things, *extra))


def worlds(count: int) -> list[World]:
    """Different worlds, settled."""
    rng, found, names = np.random.default_rng(0), [], tasks.names(body="arm7")
    for number in range(count):
        task = tasks.get(names[(number * 7) % len(names)])
        world = World(crowded(task.scene(rng), rng))
        world.settle(0.2)
        world.refresh()
        found.append(world)
    return found


def processor_ms(draw: Callable[[], object], frames: int) -> float:
    """Processor milliseconds a frame."""
    start = time.process_time()
    draw()
    return 1e3 * (time.process_time() - start) / frames


def all_of_mujoco(world: World, size: int) -> tuple[Callable[[], object], Callable[[], None]]:
    """MuJoCo's renderer asked for colour, depth and segmentation, without shadows, reflections and multisampling."""
    import mujoco

    model, kept = world.model, world.model.vis.quality.offsamples
    model.vis.quality.offsamples = 0
    renderer = mujoco.Renderer(model, size, size)
    model.vis.quality.offsamples = kept

    def draw() -> None:
        renderer.update_scene(world.data, camera="front")
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
            renderer.scene.flags[flag] = 0
        renderer.render()
        renderer.enable_depth_rendering()
        renderer.render()
        renderer.disable_depth_rendering()
        renderer.enable_segmentation_rendering()
        renderer.render()
        renderer.disable_segmentation_rendering()

    return draw, renderer.close


def one_core(scenes: list[World], size: int) -> dict[str, float]:
    """Frames a second of processor time: in a batch, one at a time, and both ways of MuJoCo, in turn."""
    views = (CameraView(name="front", height=size, width=size),)
    batch = RasterBatch([w.model for w in scenes], [w.data for w in scenes], views, threads=1)
    out, single = batch.draw(), Raster(scenes[0].model, views)
    painter = Painter(scenes[0].model, views, profile("fast"))
    whole, close = all_of_mujoco(scenes[0], size)
    painter.draw(scenes[0].data)
    single.draw(scenes[0].data)
    whole()
    found: dict[str, list[float]] = {"batch": [], "single": [], "mujoco_rgb": [], "mujoco_rgb_depth_segmentation": []}
    for _ in range(ROUNDS):
        found["batch"].append(processor_ms(lambda: [batch.draw(out) for _ in range(5)], 5 * len(scenes)))
        found["mujoco_rgb"].append(processor_ms(lambda: [painter.draw(scenes[0].data) for _ in range(20)], 20))
        found["single"].append(processor_ms(lambda: [single.draw(scenes[0].data) for _ in range(200)], 200))
        found["mujoco_rgb_depth_segmentation"].append(processor_ms(lambda: [whole() for _ in range(20)], 20))
    painter.close()
    close()
    batch.close()
    rates = {name: 1e3 / statistics.median(values) for name, values in found.items()}
    for name in ("mujoco_rgb", "mujoco_rgb_depth_segmentation"):
        ratios = [theirs / ours for theirs, ours in zip(found[name], found["batch"], strict=True)]
        rates[f"ratio_to_{name}"] = statistics.median(ratios)
    return rates


def two_cores(scenes: list[World], size: int) -> dict[str, float]:
    """Frames a second of wall time on two threads, median and best of the rounds."""
    views = (CameraView(name="front", height=size, width=size),)
    batch = RasterBatch([w.model for w in scenes], [w.data for w in scenes], views, threads=2)
    out, seconds, work = batch.draw(), [], []
    for _ in range(3 * ROUNDS):
        start, begun = time.perf_counter(), time.process_time()
        for _ in range(5):
            batch.draw(out)
        seconds.append((time.perf_counter() - start) / 5)
        work.append((time.process_time() - begun) / 5)
    batch.close()
    return {
        "wall_median": len(scenes) / statistics.median(seconds),
        "wall_best": len(scenes) / min(seconds),
        "two_free_cores_by_processor_time": 2 * len(scenes) / statistics.median(work),
        "load_average": os.getloadavg()[0],
    }


def stepped(scenes: list[World], size: int) -> dict[str, float]:
    """Frames a second while all worlds step under random actions, on two threads."""
    views = (CameraView(name="front", height=size, width=size),)
    rng = np.random.default_rng(0)
    with WorldBatch([world.scene for world in scenes], threads=2) as batch:
        batch.settle(0.2)
        batch.draw(views)
        start, begun = time.perf_counter(), time.process_time()
        for _ in range(STEPS):
            batch.step(list(rng.uniform(-1, 1, (len(scenes), scenes[0].action_spec.dim))))
            batch.draw(views)
        wall, work = time.perf_counter() - start, time.process_time() - begun
    frames = STEPS * len(scenes)
    return {"wall": frames / wall, "per_core_by_processor_time": frames / work, "load_average": os.getloadavg()[0]}


def main() -> None:
    """Measure, print, and write JSON when a path is given."""
    begun = time.time()
    scenes = worlds(WORLDS)
    geoms = [world.model.ngeom for world in scenes]
    found: dict[str, Any] = {"geoms": [min(geoms), statistics.median(geoms), max(geoms)], "worlds_in_one_batch": WORLDS}
    for size in (64, 128):
        found[f"frames_per_s_{size}px"] = {"one_core": one_core(scenes, size), "two_cores": two_cores(scenes, size)}
        print(size, found[f"frames_per_s_{size}px"])
    for size in (64, 128):
        key = f"steps_and_frames_per_s_{size}px"
        found[key] = {"worlds": STEPPED, "steps": STEPS, **stepped(scenes[:STEPPED], size)}
        print(key, found[key])
    if len(sys.argv) > 1:
        notes = (
            "a frame is colour + depth + segmentation; one_core: medians of alternating rounds, processor time; "
            "the machine is shared, so wall numbers of two cores depend on load_average"
        )
        facts = {**run_facts("python benchmarks/bench_raster.py results/raster.json"), "seed": 0, "notes": notes}
        atomic.write_json(Path(sys.argv[1]), {**found, **facts, "seconds": round(time.time() - begun)})


if __name__ == "__main__":
    main()
