"""Inverse kinematics by damped least squares on the model's own Jacobian (Wampler 1986; Nakamura and Hanafusa 1986).

Each arm has a small model of its own, without gripper joints and objects, in which trial postures are laid out; the
simulated world is never touched. All arrays are allocated once. The one thing to watch: `solve` starts from the joint
target of the step before, so its answer is a pure function of that and of the pose asked for.
"""

from __future__ import annotations

import math
from typing import Any

import mujoco
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_DAMPING = 1e-4
_POSTURE = 0.02
_LONGEST_M, _LONGEST_RAD = 0.08, 0.3


class Solver:
    """Joint angles that bring the tool to a pose in the frame of the arm's mount.

    `model` is an arm alone with a site "tool" and hinge joints only; `rest` is the posture that a redundant arm leans
    to.
    """

    def __init__(self, model: Any, rest: Floats, iterations: int = 3) -> None:
        self._model, self._data = model, mujoco.MjData(model)
        self._site = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SITE, "tool")
        self._rest, self._iterations = np.array(rest, dtype=np.float64), iterations
        self._low, self._high = model.jnt_range[:, 0].copy(), model.jnt_range[:, 1].copy()
        count = model.nv
        self._jacobian = np.zeros((6, count))
        self._error = np.zeros(6)
        self._square = np.zeros((6, 6))
        self._ridge = _DAMPING * np.eye(6)
        self._lean = np.zeros(count)
        self._found = np.zeros(count)
        self._current, self._turn = np.zeros(4), np.zeros(3)

    def pose(self, joints: Floats) -> tuple[Floats, Floats]:
        """Tool point (3,) and rotation (3 3) at these joint angles; copies."""
        self._lay(joints)
        return self._data.site_xpos[self._site].copy(), self._data.site_xmat[self._site].reshape(3, 3).copy()

    def solve(self, start: Floats, point: Floats, quaternion: Floats) -> Floats:
        """Joint angles near `start` that bring the tool to `point` (3,) and `quaternion` (w x y z); a shared array."""
        joints = self._found
        joints[:] = start
        for _ in range(self._iterations):
            self._lay(joints)
            self._measure(point, quaternion)
            jacobian, error = self._jacobian, self._error
            np.subtract(self._rest, joints, out=self._lean)
            self._lean *= _POSTURE
            error -= jacobian @ self._lean
            np.matmul(jacobian, jacobian.T, out=self._square)
            self._square += self._ridge
            mujoco.mju_cholFactor(self._square, 0.0)
            mujoco.mju_cholSolve(error, self._square, error)
            joints += error @ jacobian
            joints += self._lean
            np.maximum(joints, self._low, out=joints)
            np.minimum(joints, self._high, out=joints)
        return joints

    def _lay(self, joints: Floats) -> None:
        self._data.qpos[:] = joints
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)

    def _measure(self, point: Floats, quaternion: Floats) -> None:
        """Fill Jacobian and error, the error cut so that one iteration stays where the Jacobian is true."""
        data, error = self._data, self._error
        mujoco.mj_jacSite(self._model, data, self._jacobian[:3], self._jacobian[3:], self._site)
        error[:3] = point - data.site_xpos[self._site]
        mujoco.mju_mat2Quat(self._current, data.site_xmat[self._site])
        mujoco.mju_subQuat(self._turn, quaternion, self._current)
        np.matmul(data.site_xmat[self._site].reshape(3, 3), self._turn, out=error[3:])
        far, off = float(error[:3] @ error[:3]), float(error[3:] @ error[3:])
        if far > _LONGEST_M**2:
            error[:3] *= _LONGEST_M / math.sqrt(far)
        if off > _LONGEST_RAD**2:
            error[3:] *= _LONGEST_RAD / math.sqrt(off)


def tool_quaternion(yaw_rad: float, tilt_rad: float) -> Floats:
    """Orientation (w x y z) of a tool that points down, turned by yaw about the vertical, tilted about its own y."""
    half, tip = 0.5 * yaw_rad, 0.5 * tilt_rad
    cy, sy, ct, st = math.cos(half), math.sin(half), math.cos(tip), math.sin(tip)
    return np.array([-sy * st, cy * ct, sy * ct, cy * st])
