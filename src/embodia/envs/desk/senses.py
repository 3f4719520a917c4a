"""What the desk's robot senses; only what was asked for is computed.

The one thing to watch: `state` is proprioception alone, the same in every scene, so that places of objects and goals
have to be seen. The profiles "fast" and "coarse" draw colour with the own renderer, "faithful" with MuJoCo's; depth,
segmentation and points come from the own renderer under all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from embodia.core.names import unknown
from embodia.core.specs import SenseSpec, StatePart
from embodia.envs.desk import feel
from embodia.envs.desk.bodies import Body
from embodia.envs.desk.build import FIXED_CAMERAS
from embodia.envs.desk.machines import WRIST_FIELD_DEG
from embodia.envs.desk.raster import Frame, Raster, points_from_depth
from embodia.envs.desk.world import World
from embodia.envs.drawing import Painter
from embodia.envs.profiles import VisualProfile
from embodia.envs.protocol import CameraView

SENSES = ("rgb", "depth", "segmentation", "points", "wrench", "touch")
POINTS = 1024
"""How many points a cloud has."""
BARE, BARE_M = 0.25, 0.003
"""The share of a cloud that may lie on the bare table or floor as long as there are others, and up to which height."""
ROOM_M = ((-0.6, 0.8), (-0.75, 0.75), (-0.02, 0.8))
"""Where a point counts, x y z: the backdrop is not part of a cloud."""
WIDE_ROOM_M = ((-1.6, 1.6), (-1.6, 1.6), (-0.02, 1.0))
"""The same for a body on wheels."""
FREE_FIELD_DEG = 45.0
"""Vertical field of view of a camera that is placed freely: MuJoCo's own."""
_PAINTERS_KEPT = 8


def views(body: Body) -> Mapping[str, CameraView]:
    """The cameras of a body by name."""
    wrists = ["wrist" if index == 0 else f"wrist{index}" for index in range(len(body.arms))]
    return {name: CameraView(name=name) for name in (*FIXED_CAMERAS, *wrists)}


def state_parts(body: Body) -> tuple[StatePart, ...]:
    """The layout of `Senses.state`; a body of which there are only videos has none."""
    parts: list[StatePart] = []
    if not body.recorded:
        return ()
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


def segments(world: World) -> tuple[str, ...]:
    """What the numbers of a segmentation stand for: 0 the surroundings, 1 the robot, then things and fixtures."""
    return ("surroundings", "robot", *world.names)


class Senses:
    """Reads worlds of one body. Raises `UnknownNameError` for a sense that does not exist."""

    def __init__(self, body: Body, views: tuple[CameraView, ...], profile: VisualProfile, wanted: str) -> None:
        self._views, self._profile, self._arms = views, profile, len(body.arms)
        self._wanted = tuple(name.strip() for name in wanted.split(",") if name.strip())
        for name in self._wanted:
            if name not in SENSES:
                raise unknown("sense", name, SENSES)
        self._traced = not profile.shadows or bool({"depth", "segmentation", "points"} & set(self._wanted))
        self._size = sum(part.dim for part in state_parts(body))
        self._painters: dict[int, tuple[Any, Painter]] = {}
        self._rasters: dict[int, tuple[Any, Raster]] = {}

    @property
    def specs(self) -> tuple[SenseSpec, ...]:
        """The contract's lines for the senses asked for; segmentation, the simulator's own knowledge, has none."""
        found = []
        if "depth" in self._wanted:
            found += [_depth_spec(view) for view in self._views]
        if "points" in self._wanted:
            found.append(SenseSpec(name="points", shape=(POINTS, 6), units="m"))
        if "touch" in self._wanted:
            found.append(SenseSpec(name="touch", shape=(2 * self._arms, *feel.GRID), units="N"))
        if "wrench" in self._wanted:
            found.append(SenseSpec(name="wrench", shape=(6 * self._arms,), units="N"))
        return tuple(found)

    def state(self, world: World) -> npt.NDArray[np.float32]:
        """Joints, tool point in the frame of the mount, its forward axis, opening; for wheels x, y, cos, sin."""
        world.refresh()
        data, found, start = world.data, np.empty(self._size, dtype=np.float32), 0
        if not self._size:
            return found
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
        """The fields of an observation that were asked for, (1 1 ...) each."""
        world.refresh()
        found: dict[str, Any] = {}
        frames = self._raster(world).draw(world.data) if self._traced else {}
        if "rgb" in self._wanted:
            plain = not self._profile.shadows
            pictures = {name: frame.rgb for name, frame in frames.items()} if plain else self._paint(world)
            found["images"] = _lead(pictures)
        if "depth" in self._wanted:
            found["depth"] = _lead({name: frame.depth for name, frame in frames.items()})
        if "segmentation" in self._wanted:
            names = _segment_of_geom(world)
            found["segmentation"] = _lead({name: names[frame.segmentation] for name, frame in frames.items()})
        if "points" in self._wanted:
            found["points"] = self._cloud(world, frames)[None, None]
        if "wrench" in self._wanted:
            found["wrench"] = np.concatenate([feel.wrench(world, arm) for arm in range(len(world.arms))])[None, None]
        if "touch" in self._wanted:
            found["touch"] = np.concatenate([feel.touch(world, arm) for arm in range(len(world.arms))])[None, None]
        return found

    def close(self) -> None:
        """Free the graphics contexts."""
        for _, painter in self._painters.values():
            painter.close()
        self._painters.clear()
        self._rasters.clear()

    def _paint(self, world: World) -> dict[str, npt.NDArray[np.uint8]]:
        kept = self._painters
        if id(world.model) not in kept:
            while len(kept) >= _PAINTERS_KEPT:
                kept.pop(next(iter(kept)))[1].close()
            kept[id(world.model)] = (world.model, Painter(world.model, self._views, self._profile))
        return kept[id(world.model)][1].draw(world.data)

    def _raster(self, world: World) -> Raster:
        kept = self._rasters
        if id(world.model) not in kept:
            while len(kept) >= _PAINTERS_KEPT:
                kept.pop(next(iter(kept)))
            kept[id(world.model)] = (world.model, Raster(world.model, self._views))
        return kept[id(world.model)][1]

    def _cloud(self, world: World, frames: Mapping[str, Frame]) -> npt.NDArray[np.float32]:
        """`POINTS` points of all views: x y z (m) in the frame of the first mount, r g b in 0..1."""
        raster, parts = self._raster(world), []
        room = WIDE_ROOM_M if world.body.wheels else ROOM_M
        for name, frame in frames.items():
            points, there = points_from_depth(frame.depth, raster.eye(world.data, name))
            for axis, (low, high) in enumerate(room):
                there &= (points[..., axis] > low) & (points[..., axis] < high)
            parts.append(np.concatenate([points[there], frame.rgb[there].astype(np.float32) / 255.0], axis=1))
        whole = np.concatenate(parts)
        if not len(whole):
            return np.zeros((POINTS, 6), np.float32)
        cloud = whole[_kept(whole[:, 2] < BARE_M)]
        mount = world.arms[0].base
        cloud[:, :3] = (cloud[:, :3] - world.data.xpos[mount]) @ world.data.xmat[mount].reshape(3, 3)
        return cloud.astype(np.float32)


def _kept(bare: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Which of the points (N,) a cloud takes, evenly of each kind: few of those on the `bare` ground."""
    ground, raised = np.flatnonzero(bare), np.flatnonzero(~bare)
    few = min(len(ground), max(round(BARE * POINTS), POINTS - len(raised))) if len(raised) else POINTS
    taken = [_evenly(ground, few), _evenly(raised, POINTS - few)]
    return np.sort(np.concatenate(taken))


def _evenly(ids: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """`count` of the ids, some of them twice where there are fewer."""
    return ids[np.linspace(0, len(ids) - 1, count).round().astype(np.int64)] if count else ids[:0]


def _depth_spec(view: CameraView) -> SenseSpec:
    """A depth picture, with its field of view where the view is a whole picture."""
    source, field = view.source or view.name, WRIST_FIELD_DEG
    if view.lookat_m is not None:
        field = FREE_FIELD_DEG
    elif source in FIXED_CAMERAS:
        field = FIXED_CAMERAS[source][2]
    shape = (view.height, view.width)
    return SenseSpec(
        name="depth", shape=shape, units="m", camera=view.name, field_deg=0.0 if view.crop is not None else field
    )


def _lead(pictures: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    return {name: picture[None, None] for name, picture in pictures.items()}


def _segment_of_geom(world: World) -> npt.NDArray[np.int32]:
    """Segment of each geom; the last entry, where -1 points to, is for nothing at all."""
    found = np.zeros(world.model.ngeom + 1, np.int32)
    for name in world.robot_names:
        found[:-1][world.geoms(name)] = 1
    for number, name in enumerate(world.names):
        found[:-1][world.geoms(name)] = number + 2
    return found
