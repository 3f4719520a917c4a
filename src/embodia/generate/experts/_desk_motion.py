"""Actions that move a tool of Desk: the single one that every expert's movement comes down to, and plain movements.

`go` and `stay` know a world only, no hand that plans and grips, so that physics can be tried without an expert. The one
thing to watch: actions are computed from where the tool is, not from where it was told to be, so that what is recorded
depends on what can be seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from embodia.envs.desk.world import World
from embodia.generate.experts._angles import wrapped

Floats = npt.NDArray[np.floating[Any]]
Actions = Iterator[npt.NDArray[np.float32]]
_GAIN = 0.6


def hand_action(
    world: World,
    point: Any,
    *,
    yaw: float = 0.0,
    tilt: float = 0.0,
    closed: float = 0.0,
    arm: int = 0,
    speed: float = 1.0,
) -> npt.NDArray[np.float32]:
    """The whole action (A,) that moves one arm's tool towards `point` (m), `yaw` (rad) of the world; other arms rest.

    `closed` runs from 0 (open) to 1 (closed) whatever the body's polarity; `speed` bounds each displacement.
    """
    world.refresh()
    item, body = world.arms[arm], world.body
    matrix = world.data.xmat[item.base].reshape(3, 3)
    goal = (np.asarray(point) - world.data.xpos[item.base]) @ matrix
    action = rest_action(world)
    part = action[6 * arm : 6 * arm + 6]
    step = _GAIN * (goal - item.here(world.data)) / body.step_m
    part[:3] = step * min(1.0, speed / max(1e-9, float(np.abs(step).max())))
    axis = world.data.site_xmat[item.site].reshape(3, 3)[:, 0]
    turn = wrapped(yaw - float(np.arctan2(axis[1], axis[0])))
    part[3] = np.clip(turn / body.turn_rad, -1.0, 1.0)
    part[4] = tilt / body.tilt_rad
    part[5] = gripper_command(world, closed)
    return action


def rest_action(world: World) -> npt.NDArray[np.float32]:
    """An action that moves nothing; the grippers stay open."""
    action = np.zeros(world.action_spec.dim, dtype=np.float32)
    for arm in range(len(world.arms)):
        action[6 * arm + 5] = gripper_command(world, 0.0)
    return action


def gripper_command(world: World, closed: float) -> float:
    """The gripper component for 0 (open) to 1 (closed), in the body's polarity."""
    sign = 1.0 if world.body.polarity == "positive_closes" else -1.0
    return sign * (2.0 * closed - 1.0)


def go(
    world: World,
    point: Any,
    *,
    yaw: float = 0.0,
    tilt: float = 0.0,
    closed: float = 0.0,
    arm: int = 0,
    speed: float = 1.0,
    near: float = 0.008,
    limit: int = 60,
) -> Actions:
    """Move until the tool is within `near` metres of `point`, for at most `limit` steps."""
    goal = np.asarray(point, dtype=np.float64)
    for _ in range(limit):
        if np.linalg.norm(goal - world.tool(arm)[0]) < near:
            return
        yield hand_action(world, goal, yaw=yaw, tilt=tilt, closed=closed, arm=arm, speed=speed)


def stay(
    world: World, steps: int, *, yaw: float = 0.0, tilt: float = 0.0, closed: float = 0.0, arm: int = 0
) -> Actions:
    """Hold the tool where it is, for example while the gripper moves."""
    point = world.tool(arm)[0]
    for _ in range(steps):
        yield hand_action(world, point, yaw=yaw, tilt=tilt, closed=closed, arm=arm)
