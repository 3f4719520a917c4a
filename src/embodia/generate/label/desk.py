"""Labels of Desk: what the expert is doing, where everything is, and its box in the first camera, from the true state.

Boxes come from the renderer's segmentation, so what stands behind something else has the box of what can be seen of it.
The one thing to watch: a box needs a few pixels; smaller things are left out, as if they were not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from embodia.core.errors import EnvironmentFailure
from embodia.core.seeds import generator
from embodia.envs.adapters.desk import DEFAULT_CAMERAS, DeskEnv
from embodia.envs.desk import bodies, senses
from embodia.envs.desk.raster.frames import Raster
from embodia.envs.desk.raster.points import pixels_of
from embodia.envs.desk.world import World
from embodia.envs.protocol import CameraView, Env, EnvConfig, resolve_views
from embodia.generate.experts import Expert
from embodia.generate.experts._inside import adapter
from embodia.generate.experts.desk import DeskExpert
from embodia.generate.label._texts import Box, Moment, texts

LEAST_PIXELS = 3


def build(config: EnvConfig) -> DeskLabeller:
    """A labeller for environments of this configuration."""
    body = bodies.body((config.options or {}).get("body", "arm7"))
    return DeskLabeller(resolve_views(config, senses.views(body), DEFAULT_CAMERAS)[0])


class DeskLabeller:
    """Notes moments of one arm; pixels are those of `view`."""

    def __init__(self, view: CameraView) -> None:
        self._view = view
        self._raster: tuple[Any, Raster] | None = None
        self._moments: list[Moment] = []
        self._instruction, self._rng = "", generator(0)

    def begin(self, task: str, seed: int) -> None:
        """Forget the episode before."""
        self._moments, self._instruction, self._rng = [], "", generator(seed, task, "questions")

    def note(self, env: Env, expert: Expert) -> None:
        """The present moment. Raises `EnvironmentFailure` unless environment and expert are Desk's."""
        desk = adapter(env, DeskEnv, "desk")
        if not isinstance(expert, DeskExpert) or expert.hand is None:
            raise EnvironmentFailure("only an expert of desk says what it is doing", leaf="expert")
        self._instruction = desk.instructions(desk.task)[0]
        world, hand = desk.world, expert.hand
        found, pixel = self._look(world)
        x, y, z, w = (hand.world.tool(hand.arm)[1][place] for place in (1, 2, 3, 0))
        self._moments.append(
            Moment(
                doing=hand.doing or _plainly(self._instruction),
                meant=hand.meant,
                tool=world.tool(hand.arm)[0].copy(),
                yaw_rad=float(np.arctan2(2 * (x * y + w * z), w * w + x * x - y * y - z * z)),
                opening=float(world.gripper(hand.arm)),
                held=next((item.name for item in world.scene.things if world.holding(item.name, hand.arm)), ""),
                places={name: world.pose(name)[0].copy() for name in world.names},
                boxes=found,
                pixel=pixel,
            )
        )

    def answers(self) -> Mapping[str, tuple[str, ...]]:
        """The texts of the episode so far."""
        return texts(self._moments, self._instruction, self._rng)

    def _look(self, world: World) -> tuple[dict[str, Box], tuple[int, int]]:
        """Boxes of what is seen, and the pixel of the tool point, cut to the picture."""
        world.refresh()
        if self._raster is None or self._raster[0] is not world.model:
            self._raster = (world.model, Raster(world.model, (self._view,)))
        raster = self._raster[1]
        segments = raster.draw(world.data)[self._view.name].segmentation
        height, width = segments.shape
        column, row = pixels_of(world.tool()[0][None], raster.eye(world.data, self._view.name), height, width)[0]
        pixel = int(np.clip(column, 0, width - 1)), int(np.clip(row, 0, height - 1))
        return boxes_of(segments, {name: world.geoms(name) for name in world.names}), pixel


def boxes_of(segments: npt.NDArray[np.int32], geoms: Mapping[str, npt.NDArray[np.bool_]]) -> dict[str, Box]:
    """Name -> box of its pixels in a picture of geom numbers (H W, -1 where nothing is); unseen names are left out."""
    found: dict[str, Box] = {}
    for name, mine in geoms.items():
        rows, columns = np.nonzero(np.append(mine, False)[segments])
        if len(rows) >= LEAST_PIXELS:
            found[name] = (int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max()))
    return found


def _plainly(instruction: str) -> str:
    return instruction[:1].lower() + instruction[1:].rstrip(".")
