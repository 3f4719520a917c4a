"""Cameras of the renderer: a `CameraView` as place, rotation and lens, for fixed, carried and free cameras.

The lens is MuJoCo's own: its visualiser is asked once, without any graphics library. The one thing to watch: rotation
is MuJoCo's, whose cameras look along their own -z with +y up.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from embodia.core.errors import ConfigError
from embodia.core.names import unknown
from embodia.envs.desk.raster.tables import Doubles, Eyes
from embodia.envs.protocol import CameraView


class Camera:
    """One view of a model. Raises `UnknownNameError` for a camera the model lacks, `ConfigError` for a parallel one."""

    def __init__(self, model: Any, view: CameraView) -> None:
        self.view = view
        self._index = index = -1 if view.lookat_m is not None else _find(model, view)
        self._lens, self._field = (
            _lens(_visualised(model, view, index), view.drawn[1] / view.drawn[0]),
            np.array([90.0]),
        )
        if not _measured(model, index):
            self._field = model.cam_fovy[index : index + 1] if index >= 0 else np.array([float(model.vis.global_.fovy)])
            self._lens[:4] /= math.tan(math.radians(self._field[0]) / 2)

    def at(self, data: Any) -> Eyes:
        """The camera in one world; place and rotation are views of `data`, so they follow it."""
        if self._index < 0:
            position, rotation = _free(self.view)
        else:
            one = slice(self._index, self._index + 1)
            position, rotation = data.cam_xpos[one], data.cam_xmat[one]
        return Eyes(position=position, rotation=rotation, lens=self._lens[None], field=self._field)


def _measured(model: Any, index: int) -> bool:
    """Whether the camera's lens is given by a sensor and focal lengths and not by a field of view."""
    return index >= 0 and bool(model.cam_sensorsize[index, 1] > 0)


def _find(model: Any, view: CameraView) -> int:
    names = [model.camera(index).name for index in range(model.ncam)]
    source = view.source or view.name
    if source not in names:
        raise unknown("camera", source, names)
    return names.index(source)


def _visualised(model: Any, view: CameraView, index: int) -> Any:
    """MuJoCo's own drawing camera, for its lens."""
    import mujoco

    camera = mujoco.MjvCamera()
    if index >= 0:
        camera.type, camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, index
    scene = mujoco.MjvScene(model, 1)
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    mujoco.mj_camlight(model, data)
    mujoco.mjv_updateCamera(model, data, camera, scene)
    pose = scene.camera[0]
    if pose.orthographic:
        raise ConfigError("a camera with parallel rays cannot be drawn by the fast renderer", leaf=view.name)
    return pose


def _lens(pose: Any, aspect: float) -> Doubles:
    """Left edge, upper edge, width and height at depth 1, then nearest and farthest depth."""
    near = pose.frustum_near
    height = (pose.frustum_top - pose.frustum_bottom) / near
    width = 2 * pose.frustum_width / near if pose.frustum_width else aspect * height
    left = pose.frustum_center / near - width / 2
    return np.array([left, pose.frustum_top / near, width, height, near, pose.frustum_far])


def _free(view: CameraView) -> tuple[Doubles, Doubles]:
    """Place (1, 3) and rotation (1, 9) of a camera that looks at a point from a distance."""
    azimuth, elevation = math.radians(view.azimuth_deg), math.radians(view.elevation_deg)
    flat = np.array([math.cos(azimuth), math.sin(azimuth), 0.0])
    forward = math.cos(elevation) * flat + np.array([0.0, 0.0, math.sin(elevation)])
    right = np.array([flat[1], -flat[0], 0.0])
    up = np.cross(right, forward)
    place = np.array(view.lookat_m) - view.distance_m * forward
    return place[None], np.stack([right, up, -forward], axis=1).reshape(1, 9)
