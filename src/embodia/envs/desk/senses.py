"""What the desk's robot senses; only what was asked for is computed.

The one thing to watch: `state` is proprioception alone, the same in every scene, so that places of objects and goals
have to be seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from embodia.core.names import unknown
from embodia.core.specs import StatePart
from embodia.envs.desk.bodies import Body
from embodia.envs.desk.build import FIXED_CAMERAS
from embodia.envs.desk.world import World
from embodia.envs.drawing import Painter
from embodia.envs.profiles import VisualProfile
from embodia.envs.protocol import CameraView

SENSES = ("rgb",)
_PAINTERS_KEPT = 8


def views(body: Body) -> Mapping[str, CameraView]:
    """The cameras of a body by name."""
    wrists = ["wrist" if index == 0 else f"wrist{index}" for index in range(len(body.arms))]
    return {name: CameraView(name=name) for name in (*FIXED_CAMERAS, *wrists)}


def state_parts(body: Body) -> tuple[StatePart, ...]:
    """The layout of `Senses.state`."""
    parts: list[StatePart] = []
    for index, arm in enumerate(body.arms):
        suffix = "" if index == 0 else f"_{index}"
        parts += [
            StatePart(name=f"joints{suffix}", dim=len(arm.joints), units="rad"),
            StatePart(name=f"tool{suffix}", dim=3, units="m", frame="base"),
            StatePart(name=f"heading{suffix}", dim=3, units="normalized", frame="base"),
            StatePart(name=f"gripper{suffix}", dim=1, units="normalized"),
        ]
    if body.wheels:
        parts.append(StatePart(name="base", dim=4, units="none", frame="world"))
    return tuple(parts)


class Senses:
    """Reads worlds of one body. Raises `UnknownNameError` for a sense that does not exist."""

    def __init__(self, body: Body, views: tuple[CameraView, ...], profile: VisualProfile, wanted: str) -> None:
        self._views, self._profile = views, profile
        self._wanted = tuple(name.strip() for name in wanted.split(",") if name.strip())
        for name in self._wanted:
            if name not in SENSES:
                raise unknown("sense", name, SENSES)
        self._size = sum(part.dim for part in state_parts(body))
        self._painters: dict[int, tuple[Any, Painter]] = {}

    def state(self, world: World) -> npt.NDArray[np.float32]:
        """Joints, tool point in the frame of the mount, its forward axis, opening; for wheels x, y, cos, sin."""
        world.refresh()
        data, found, start = world.data, np.empty(self._size, dtype=np.float32), 0
        for arm in world.arms:
            count = len(arm.target)
            found[start : start + count] = data.qpos[arm.joints]
            found[start + count : start + count + 3] = arm.here(data)
            axis = data.site_xmat[arm.site].reshape(3, 3)[:, 0]
            found[start + count + 3 : start + count + 6] = axis @ data.xmat[arm.base].reshape(3, 3)
            found[start + count + 6] = data.qpos[arm.fingers].sum() / arm.arm.gripper.opening_m
            start += count + 7
        if world.wheels is not None:
            x, y, yaw = data.qpos[world.wheels.joints]
            found[start:] = x, y, np.cos(yaw), np.sin(yaw)
        return found

    def see(self, world: World) -> dict[str, Any]:
        """The fields of an observation that were asked for."""
        world.refresh()
        found: dict[str, Any] = {}
        if "rgb" in self._wanted:
            pictures = self._painter(world).draw(world.data)
            found["images"] = {name: image[None, None] for name, image in pictures.items()}
        return found

    def close(self) -> None:
        """Free the graphics contexts."""
        for _, painter in self._painters.values():
            painter.close()
        self._painters.clear()

    def _painter(self, world: World) -> Painter:
        key = id(world.model)
        if key not in self._painters:
            while len(self._painters) >= _PAINTERS_KEPT:
                self._painters.pop(next(iter(self._painters)))[1].close()
            self._painters[key] = (world.model, Painter(world.model, self._views, self._profile))
        return self._painters[key][1]
