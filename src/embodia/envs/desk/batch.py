"""Many different worlds stepped together on threads: other objects, other counts, other bodies side by side.

The simulator lets go of the interpreter while it steps, so threads share the cores. Each world runs the very code of a
single one, and no number passes between worlds, so a batch gives what its worlds give alone, whatever the number of
threads. The one thing to watch: pictures of a batch are the fast profile's, and are drawn of the state as it is now.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from embodia.core.errors import ConfigError
from embodia.envs.desk.control import Control
from embodia.envs.desk.raster import Frame, RasterBatch
from embodia.envs.desk.scenes import Scene
from embodia.envs.desk.world import World
from embodia.envs.protocol import CameraView

Action = npt.NDArray[np.floating[Any]]


class WorldBatch:
    """Worlds of `scenes`, stepped by `threads` threads. Raises `ConfigError` without a scene or a thread."""

    def __init__(self, scenes: Sequence[Scene], *, control: Control = "ee", threads: int = 2) -> None:
        if not scenes or threads < 1:
            raise ConfigError(f"at least one scene and one thread, got {len(scenes)} and {threads}", leaf="batch")
        self._control: Control = control
        self._pool = ThreadPoolExecutor(threads)
        shares = min(len(scenes), 4 * threads)
        bounds = np.linspace(0, len(scenes), shares + 1).astype(int).tolist()
        self._parts = [range(low, high) for low, high in pairwise(bounds)]
        self._threads = threads
        self._worlds = [World(scene, control=control) for scene in scenes]
        self._rasters: dict[tuple[CameraView, ...], RasterBatch] = {}

    def __len__(self) -> int:
        return len(self._worlds)

    def __enter__(self) -> WorldBatch:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def worlds(self) -> tuple[World, ...]:
        """The worlds, to be asked by name."""
        return tuple(self._worlds)

    def step(self, actions: Sequence[Action]) -> None:
        """One control period in every world under its own action (A,); bodies may have different A and rates."""
        if len(actions) != len(self._worlds):
            raise ConfigError(f"{len(actions)} actions for {len(self._worlds)} worlds", leaf="actions")
        list(self._pool.map(lambda part: self._advance(part, actions), self._parts))

    def settle(self, seconds: float = 0.3) -> None:
        """Let things come to rest in every world."""
        list(self._pool.map(lambda world: world.settle(seconds), self._worlds))

    def start(self, index: int, scene: Scene) -> World:
        """Put another scene into one place of the batch."""
        world = self._worlds[index] = World(scene, control=self._control)
        for raster in self._rasters.values():
            raster.replace(index, world.model, world.data)
        return world

    def draw(self, views: tuple[CameraView, ...]) -> dict[str, Frame]:
        """Colour, depth and segmentation (geom ids) of every world, each (W H W' ...), by view."""
        list(self._pool.map(self._refresh, self._parts))
        if views not in self._rasters:
            models, datas = zip(*((world.model, world.data) for world in self._worlds), strict=True)
            self._rasters[views] = RasterBatch(models, datas, views, threads=self._threads)
        return self._rasters[views].draw()

    def close(self) -> None:
        """End the threads; may be called twice."""
        self._close_rasters()
        self._pool.shutdown()

    def _advance(self, part: range, actions: Sequence[Action]) -> None:
        for index in part:
            self._worlds[index].apply(actions[index])

    def _refresh(self, part: range) -> None:
        for index in part:
            self._worlds[index].refresh()

    def _close_rasters(self) -> None:
        for raster in self._rasters.values():
            raster.close()
        self._rasters.clear()
