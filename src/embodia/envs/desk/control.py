"""From a normalised action to servo targets, once a control step.

End-effector control keeps a commanded tool pose for each arm: the action moves it, the workspace and a leash to the
real tool bound it, inverse kinematics turns it into joint targets. The one thing to watch: the tilt component is
absolute (0 is upright, rate-limited), the others are displacements, so that errors of a policy cannot pile up into a
hand that lies on its side.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import mujoco
import numpy as np
import numpy.typing as npt

from embodia.core.specs import ActionPart, ActionSpec
from embodia.envs.desk.bodies import LEASH_M, Arm, Body
from embodia.envs.desk.kinematics import tool_quaternion
from embodia.envs.desk.machines import solver

Floats = npt.NDArray[np.float64]
Control: TypeAlias = Literal["ee", "joint"]

YAW_RAD = 1.9
TILT_STEP_RAD = 0.15
_LEASH_RAD = 0.25


def action_spec(body: Body, control: Control) -> ActionSpec:
    """The contract of an action: arm after arm, then the wheels."""
    parts: list[ActionPart] = []
    for index, arm in enumerate(body.arms):
        suffix = "" if index == 0 else f"_{index}"
        parts += _ee_parts(body, suffix) if control == "ee" else _joint_parts(body, arm, suffix)
        parts.append(ActionPart(name=f"gripper{suffix}", dim=1, representation="gripper", polarity=body.polarity))
    if body.wheels:
        parts.append(
            ActionPart(name="drive", dim=2, representation="base_velocity", frame="base", scale=body.drive_m_s)
        )
        parts.append(
            ActionPart(name="spin", dim=1, representation="base_velocity", frame="base", scale=body.spin_rad_s)
        )
    return ActionSpec(parts=tuple(parts), rate_hz=body.rate_hz, recorded=body.recorded)


def _ee_parts(body: Body, suffix: str) -> list[ActionPart]:
    return [
        ActionPart(name=f"hand{suffix}", dim=3, representation="ee_position_delta", frame="base", scale=body.step_m),
        ActionPart(
            name=f"yaw{suffix}",
            dim=1,
            representation="ee_rotation_delta",
            frame="base",
            rotation="axis_angle",
            scale=body.turn_rad,
        ),
        ActionPart(
            name=f"tilt{suffix}",
            dim=1,
            representation="ee_rotation",
            frame="tool",
            rotation="axis_angle",
            scale=body.tilt_rad,
        ),
    ]


def _joint_parts(body: Body, arm: Arm, suffix: str) -> list[ActionPart]:
    return [
        ActionPart(
            name=f"joints{suffix}",
            dim=len(arm.joints),
            representation="joint_delta",
            frame="base",
            scale=body.joint_rad,
        )
    ]


class ArmControl:
    """Servo targets of one arm; `state` is everything it remembers, (5 + joints,)."""

    def __init__(self, model: Any, body: Body, index: int) -> None:
        arm = body.arms[index]
        self.arm, self.body = arm, body
        count = len(arm.joints)
        self._solver = solver(arm)
        self._low, self._high = np.array(arm.low_m), np.array(arm.high_m)
        first = model.joint(f"arm{index}/joint0")
        self.joints = slice(int(first.qposadr[0]), int(first.qposadr[0]) + count)
        self.speeds = slice(int(first.dofadr[0]), int(first.dofadr[0]) + count)
        self.fingers = slice(self.joints.stop, self.joints.stop + 2)
        start = int(model.actuator(f"arm{index}/joint0").id)
        self._servos, self._pads = slice(start, start + count), slice(start + count, start + count + 2)
        self.site = int(model.site(f"arm{index}/tool").id)
        self.base = int(model.body(f"arm{index}/base").id)
        self._range = model.jnt_range[int(first.id) : int(first.id) + count].copy()
        self._opens = body.polarity == "positive_opens"
        self.state = np.zeros(5 + count)
        self.point, self.target = self.state[:3], self.state[5:]
        self._here = np.zeros(3)

    def begin(self, data: Any) -> None:
        """Take the present posture as the commanded one; the gripper opens."""
        self.resume(data)
        data.ctrl[self._pads] = self.arm.gripper.opening_m / 2

    def resume(self, data: Any) -> None:
        """Take the present posture as the commanded one; the gripper goes on as it is."""
        self.target[:] = data.qpos[self.joints]
        point, matrix = self._solver.pose(self.target)
        self.point[:] = point
        self.state[3] = np.arctan2(matrix[0, 1], -matrix[1, 1])
        self.state[4] = np.arctan2(matrix[2, 0], -matrix[2, 2])
        data.ctrl[self._servos] = self.target

    def move_hand(self, data: Any, action: Floats) -> None:
        """dx dy dz yaw tilt of one control step, then the gripper: (6,)."""
        state, point = self.state, self.point
        point += action[:3] * self.body.step_m
        self._leash(data)
        np.maximum(point, self._low, out=point)
        np.minimum(point, self._high, out=point)
        state[3] = min(YAW_RAD, max(-YAW_RAD, state[3] + action[3] * self.body.turn_rad))
        tilt = action[4] * self.body.tilt_rad
        state[4] += min(TILT_STEP_RAD, max(-TILT_STEP_RAD, tilt - state[4]))
        self.target[:] = self._solver.solve(self.target, point, tool_quaternion(state[3], state[4]))
        data.ctrl[self._servos] = self.target
        self._close(data, float(action[5]))

    def move_joints(self, data: Any, action: Floats) -> None:
        """A displacement of each joint, then the gripper: (joints + 1,)."""
        here = data.qpos[self.joints]
        self.target += action[:-1] * self.body.joint_rad
        np.clip(self.target, here - _LEASH_RAD, here + _LEASH_RAD, out=self.target)
        np.clip(self.target, self._range[:, 0], self._range[:, 1], out=self.target)
        data.ctrl[self._servos] = self.target
        self._close(data, float(action[-1]))

    def here(self, data: Any) -> Floats:
        """The tool point in the frame of the mount; a shared array."""
        matrix = data.xmat[self.base].reshape(3, 3)
        np.matmul(data.site_xpos[self.site] - data.xpos[self.base], matrix, out=self._here)
        return self._here

    def _leash(self, data: Any) -> None:
        ahead = self.point - self.here(data)
        length = float(np.sqrt(ahead @ ahead))
        reach = LEASH_M + self.body.step_m
        if length > reach:
            self.point[:] = self._here + ahead * (reach / length)

    def _close(self, data: Any, command: float) -> None:
        wide = 0.5 * (1.0 + command) if self._opens else 0.5 * (1.0 - command)
        data.ctrl[self._pads] = wide * self.arm.gripper.opening_m / 2


class Wheels:
    """Speeds of a moving base, asked for in its own frame."""

    def __init__(self, model: Any, body: Body) -> None:
        self._body = body
        self._servo = int(model.actuator("cart/x").id)
        self.joints = slice(int(model.joint("cart/x").qposadr[0]), int(model.joint("cart/x").qposadr[0]) + 3)

    def move(self, data: Any, action: Floats) -> None:
        """Forward, left, turn, each in [-1, 1]: (3,)."""
        yaw = float(data.qpos[self.joints][2])
        forward, left = action[:2] * self._body.drive_m_s
        data.ctrl[self._servo] = np.cos(yaw) * forward - np.sin(yaw) * left
        data.ctrl[self._servo + 1] = np.sin(yaw) * forward + np.cos(yaw) * left
        data.ctrl[self._servo + 2] = action[2] * self._body.spin_rad_s


def forward(model: Any, data: Any) -> None:
    """Bring everything derived up to date without changing what the next step starts from."""
    kept = data.qacc_warmstart.copy()
    mujoco.mj_forward(model, data)
    data.qacc_warmstart[:] = kept
