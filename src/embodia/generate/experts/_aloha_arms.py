"""The two arms of ALOHA for scripts: tool poses in, joint targets out, moved smoothly from one pose to the next.

A script is a list of moves for both hands at once. The servos lag behind their targets, so a move ends when its time is
over and the hands have arrived, or when patience ends. The one thing to watch: goals are read off the scene once, at
the beginning of a move; an object that slips later is not followed before the next one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
import numpy.typing as npt

from embodia.envs.desk.kinematics import Solver

Floats = npt.NDArray[np.float64]

SIDES = ("left", "right")
OPEN, SHUT = 1.0, 0.0
JOINTS = 6
_TOOL_M = 0.15
_CHAIN = ("shoulder_link", "upper_arm_link", "upper_forearm_link", "lower_forearm_link", "wrist_link", "gripper_link")
_UNROLLED = "lower_forearm_link"
_SOLVED = [0, 1, 2, 4, 5]
_ITERATIONS = 8


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Where a tool shall be: its point (3,), metres; tipped down and rolled about its own axis, radians.

    It looks away from its own arm's mount, so that the forearm never has to roll.
    """

    point: Floats
    down_rad: float = 0.0
    roll_rad: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Move:
    """One movement of both hands.

    left, right   physics -> pose at its end; None stays where the hand was sent before
    grips         of the left and the right gripper, 0 shut and 1 open
    steps         control steps that it takes
    near_m        how close both tools have to be before the next one begins
    patience      control steps to wait for that
    """

    steps: int
    left: Callable[[Any], Pose] | None = None
    right: Callable[[Any], Pose] | None = None
    grips: tuple[float, float]
    near_m: float = 0.012
    patience: int = 25


def arm_model(model: Any, side: str) -> Any:
    """One arm of the benchmark's scene as a bare model, the forearm not rolled, with a site "tool" at the fingers."""
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    mount = model.body(f"vx300s_{side}")
    body = spec.worldbody.add_body(pos=mount.pos, quat=mount.quat)
    for name in _CHAIN:
        link = model.body(f"vx300s_{side}/{name}")
        joint = model.joint(link.jntadr[0])
        body = body.add_body(pos=link.pos, quat=link.quat, mass=1.0, inertia=[1e-3, 1e-3, 1e-3])
        if name != _UNROLLED:
            body.add_joint(type=mujoco.mjtJoint.mjJNT_HINGE, axis=joint.axis, pos=joint.pos, range=joint.range)
    body.add_site(name="tool", pos=[_TOOL_M, 0.0, 0.0])
    return spec.compile()


class Arm:
    """One arm: where its tool is, and the joint targets that bring it elsewhere; starts from joint angles (6,)."""

    def __init__(self, model: Any, side: str, joints: Floats) -> None:
        bare = arm_model(model, side)
        self._mount = np.array(bare.body(1).pos[:2])
        self._sent = joints[_SOLVED].copy()
        self._solver = Solver(bare, self._sent, iterations=_ITERATIONS)
        point, matrix = self._solver.pose(self._sent)
        self.start = Pose(point=point, down_rad=-float(np.arcsin(matrix[2, 0])))

    def point(self, joints: Floats) -> Floats:
        """Where the tool (3,) is at these joint angles (6,)."""
        return self._solver.pose(joints[_SOLVED])[0]

    def targets(self, pose: Pose) -> Floats:
        """Joint targets (6,) for a pose near the one asked for before."""
        self._sent = self._solver.solve(self._sent, pose.point, turn(pose, self._mount)).copy()
        return np.insert(self._sent, _CHAIN.index(_UNROLLED), 0.0)


class Hands:
    """Both hands on their way through a script from joint angles `rest` (2 6); the last move is kept."""

    def __init__(self, model: Any, rest: Floats) -> None:
        self._arms = [Arm(model, side, joints) for side, joints in zip(SIDES, rest, strict=True)]
        self._from = [arm.start for arm in self._arms]
        self._to = list(self._from)
        self._index, self._step = -1, 0

    def ask(self, physics: Any, script: tuple[Move, ...], measured: Floats) -> Floats:
        """Joint targets and grips of the next step, left then right (14,); `measured` are joint angles (2 6)."""
        if self._index < 0 or self._finished(script[self._index], measured):
            self._begin(physics, script)
        move = script[self._index]
        self._step += 1
        share = smooth(min(1.0, self._step / move.steps))
        parts: list[Floats] = []
        for arm, start, end, grip in zip(self._arms, self._from, self._to, move.grips, strict=True):
            parts += [arm.targets(between(start, end, share)), np.array([grip])]
        return np.concatenate(parts)

    def _begin(self, physics: Any, script: tuple[Move, ...]) -> None:
        if self._index + 1 == len(script):
            return
        self._index, self._step = self._index + 1, 0
        move = script[self._index]
        self._from = self._to
        goals = (move.left, move.right)
        self._to = [old if goal is None else goal(physics) for goal, old in zip(goals, self._from, strict=True)]

    def _finished(self, move: Move, measured: Floats) -> bool:
        if self._step < move.steps:
            return False
        each = zip(self._arms, measured, self._to, strict=True)
        far = max(float(np.linalg.norm(arm.point(joints) - goal.point)) for arm, joints, goal in each)
        return far < move.near_m or self._step >= move.steps + move.patience


def smooth(share: float) -> float:
    """Minimum-jerk course of a movement, 0 to 1 (Flash and Hogan 1985)."""
    return share**3 * (10.0 - 15.0 * share + 6.0 * share**2)


def between(start: Pose, end: Pose, share: float) -> Pose:
    """The pose at `share` of the straight way."""

    def mix(a: Any, b: Any) -> Any:
        return (1.0 - share) * a + share * b

    return Pose(
        point=mix(start.point, end.point),
        down_rad=mix(start.down_rad, end.down_rad),
        roll_rad=mix(start.roll_rad, end.roll_rad),
    )


def turn(pose: Pose, mount: Floats) -> Floats:
    """Rotation (w x y z) of a tool, fingers along x and closing along y, that looks away from `mount` (2,)."""
    away = pose.point[:2] - mount
    found, part = np.array([1.0, 0.0, 0.0, 0.0]), np.zeros(4)
    yaw = float(np.arctan2(away[1], away[0]))
    for axis, angle in (((0.0, 0.0, 1.0), yaw), ((0.0, 1.0, 0.0), pose.down_rad), ((1.0, 0.0, 0.0), pose.roll_rad)):
        mujoco.mju_axisAngle2Quat(part, np.array(axis), angle)
        mujoco.mju_mulQuat(found, found.copy(), part)
    return found
