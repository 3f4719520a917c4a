"""Frames a second of the visual profiles, each camera by itself: `python benchmarks/bench_render.py [out.json]`.

Processor time is what is compared: it hardly depends on what else the machine does. Meta-World's own path is
`env.render()` of an environment made with render_mode="rgb_array".
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from embodia import envs
from embodia.envs import EnvConfig
from embodia.envs.versions import installed
from embodia.io import atomic

CAMERAS = ("corner2", "gripperPOV", "right", "left")


def milliseconds(draw: Callable[[], object], frames: int) -> float:
    """Processor milliseconds a call, after one call to warm up."""
    draw()
    start = time.process_time()
    for _ in range(frames):
        draw()
    return 1e3 * (time.process_time() - start) / frames


def profile_ms(profile: str, camera: str, size: int, task: str = "assembly") -> float:
    """Cost of one picture under a profile."""
    env = envs.make("metaworld", EnvConfig(profile=profile, cameras=(camera,), height=size, width=size))
    env.reset(task, 0)
    found = milliseconds(env.observe, 40 if profile == "fast" else 6)
    env.close()
    return found


def library_ms(camera: str, size: int) -> float:
    """Cost of one picture on the benchmark's own path."""
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env = ALL_V3_ENVIRONMENTS["assembly-v3"](render_mode="rgb_array", camera_name=camera, width=size, height=size)
    env._freeze_rand_vec, env.seeded_rand_vec, env._set_task_called = False, True, True
    env.seed(0)
    env.reset()
    found = milliseconds(env.render, 6)
    env.close()
    return found


def main() -> None:
    """Measure, print a table, and write JSON when a path is given."""
    rows = {}
    print(f"{'camera':<12}{'size':>6}{'library':>10}{'faithful':>10}{'fast':>8}   ratio   (processor ms a picture)")
    for size in (128,):
        for camera in CAMERAS:
            library = library_ms(camera, size) if camera in ("corner2", "gripperPOV") else 0.0
            faithful, fast = (profile_ms(name, camera, size) for name in ("faithful", "fast"))
            rows[f"{camera}/{size}"] = {
                "library_ms": library,
                "faithful_ms": faithful,
                "fast_ms": fast,
                "ratio": faithful / fast,
            }
            print(f"{camera:<12}{size:>6}{library:>10.1f}{faithful:>10.1f}{fast:>8.2f}{faithful / fast:>8.1f}")
    if len(sys.argv) > 1:
        facts = {
            "pictures": rows,
            "versions": installed("metaworld", "mujoco", "numpy"),
            "command": "python benchmarks/bench_render.py results/render_profiles.json",
            "notes": "processor milliseconds a picture, one process; camera/pixels",
        }
        atomic.write_json(Path(sys.argv[1]), facts)


if __name__ == "__main__":
    main()
