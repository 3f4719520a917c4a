"""What both sides of a comparison share: the invented data, and a loop that times one repetition when it is asked to.

Runs in two interpreters, ours and the peer's, so it imports neither.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

CAMERAS = ("front", "wrist")
EPISODES, FRAMES, FPS, SIZE, JOINTS, CHUNK, BATCH = 20, 200, 30, 128, 7, 16, 8
SLOTS, ROUNDS, CHEETAH = 8, 480, "HalfCheetah-v5"


@dataclass(frozen=True, kw_only=True)
class Work:
    """`run` does one repetition and returns how many units it did; `gate` holds what it computes, for the comparison.

    `before` makes a repetition ready and is not timed.
    """

    run: Callable[[], float]
    gate: Mapping[str, Any] = field(default_factory=dict)
    before: Callable[[], object] = lambda: None


def background(rng: np.random.Generator) -> np.ndarray:
    """A smooth picture that compresses like a room, not like noise."""
    coarse = rng.integers(0, 256, (9, 9, 3)).astype(np.float32)
    place = np.linspace(0, 7.999, SIZE)
    low, part = place.astype(int), (place % 1)[:, None]
    rows = coarse[low] * (1 - part[..., None]) + coarse[low + 1] * part[..., None]
    return rows[:, low] * (1 - part[None]) + rows[:, low + 1] * part[None]


def episode(seed: int) -> dict[str, np.ndarray]:
    """Two squares that move with the action over a background with sensor noise; frames (N H W 3), state, actions."""
    rng = np.random.default_rng(seed)
    walls = {name: background(rng) for name in CAMERAS}
    steps = rng.normal(0, 0.02, (FRAMES, JOINTS))
    path = np.clip(rng.uniform(0.2, 0.8, JOINTS) + np.cumsum(steps, 0), 0, 1).astype(np.float32)
    found: dict[str, np.ndarray] = {"state": path, "actions": np.roll(path, -1, 0)}
    for number, name in enumerate(CAMERAS):
        frames = np.empty((FRAMES, SIZE, SIZE, 3), np.uint8)
        for i in range(FRAMES):
            picture = walls[name] + rng.normal(0, 3, (SIZE, SIZE, 1))
            for square in range(2):
                y, x = ((SIZE - 24) * path[i, 2 * square + number : 2 * square + number + 2]).astype(int)
                picture[y : y + 24, x : x + 24] = (220, 40 + 120 * square, 40)
            frames[i] = np.clip(picture, 0, 255)
        found[name] = frames
    return found


def inputs(history: int, chunk: int) -> dict[str, np.ndarray]:
    """One batch for a policy: pictures uint8 (B T H W 3), state, actions, and a latent or noise."""
    rng = np.random.default_rng(7)
    found = {name: rng.integers(0, 256, (BATCH, history, SIZE, SIZE, 3), dtype=np.uint8) for name in CAMERAS}
    found["state"] = rng.uniform(-1, 1, (BATCH, history, JOINTS)).astype(np.float32)
    found["actions"] = rng.uniform(-1, 1, (BATCH, chunk, JOINTS)).astype(np.float32)
    return found


def frame(count: int, camera: int) -> np.ndarray:
    """The picture (H W 3) of an environment that only counts."""
    return np.full((SIZE, SIZE, 3), (count + 100 * camera) % 256, np.uint8)


def controls() -> np.ndarray:
    """Actions (rounds, slots, 6) for eight cheetahs."""
    return np.random.default_rng(0).uniform(-1, 1, (ROUNDS, SLOTS, 6)).astype(np.float32)


def psnr(shown: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> float:
    """Peak signal to noise of all cameras together, in decibels."""
    error = np.mean([np.mean((shown[name].astype(np.float32) - truth[name]) ** 2) for name in CAMERAS])
    return float(10 * np.log10(255**2 / error))


def serve(side: str, cases: Mapping[str, Callable[[Path], Work]]) -> None:
    """Set up the case named on the command line, keep what it computes, time one repetition for every line read."""
    case, folder = sys.argv[1], Path(sys.argv[2])
    work = cases[case](folder)
    if work.gate:
        np.savez(folder / f"{case}-{side}.npz", **work.gate)
    print(json.dumps({"ready": case}), flush=True)
    for _ in sys.stdin:
        work.before()
        wall, cpu = time.perf_counter(), time.process_time()
        units = work.run()
        spent = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu, "units": units}
        print(json.dumps(spent), flush=True)
