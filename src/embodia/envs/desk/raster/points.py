"""Point clouds from depth pictures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from embodia.envs.desk.raster.tables import Eyes

Points = npt.NDArray[np.float32]


def points_from_depth(depth: npt.NDArray[np.float32], eye: Eyes) -> tuple[Points, npt.NDArray[np.bool_]]:
    """Points (H W 3) in world metres of a depth picture (H W), and which of them exist (H W): where depth is above 0.

    `eye` is the camera that took it, from `Raster.eye`. The picture must be neither cut nor averaged.
    """
    height, width = depth.shape
    left, top, across, down = eye.lens[0, :4] * math.tan(math.radians(eye.field[0]) / 2)
    u = left + across * (np.arange(width) + 0.5) / width
    v = top - down * (np.arange(height) + 0.5) / height
    rays = np.stack(np.broadcast_arrays(u[None, :], v[:, None], -1.0), axis=-1)
    points = (rays * depth[..., None]) @ eye.rotation.reshape(3, 3).T + eye.position
    return points.astype(np.float32), depth > 0


def pixels_of(points: npt.NDArray[np.floating[Any]], eye: Eyes, height: int, width: int) -> npt.NDArray[np.float64]:
    """Column and row (N 2) at which points (N 3) in world metres appear, the inverse of `points_from_depth`.

    Whole numbers are the upper left corners of pixels; points beside the picture lie outside 0..width, 0..height.
    """
    left, top, across, down = eye.lens[0, :4] * math.tan(math.radians(eye.field[0]) / 2)
    seen = (points - eye.position) @ eye.rotation.reshape(3, 3)
    depth = np.maximum(-seen[:, 2], 1e-9)
    return np.stack([(seen[:, 0] / depth - left) / across * width, (top - seen[:, 1] / depth) / down * height], axis=1)
