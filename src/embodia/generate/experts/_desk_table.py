"""Scripts for tasks on the open table: reaching and pushing."""

from __future__ import annotations

import numpy as np

from embodia.envs.desk.tasks.push import DIRECTIONS, Push
from embodia.envs.desk.tasks.reach import Reach
from embodia.envs.desk.world import World
from embodia.generate.experts._desk_motion import Actions, go

_ABOVE_M, _BEHIND_M, _BEYOND_M = 0.13, 0.075, 0.05


def reach(world: World, task: Reach) -> Actions:
    """From above, open, down to the thing."""
    place = world.pose(task.target)[0]
    yield from go(world, place + np.array([0.0, 0.0, 0.09]), near=0.03)
    yield from go(world, place + np.array([0.0, 0.0, 0.02]), near=0.01)


def push(world: World, task: Push) -> Actions:
    """Down behind the thing with the fingers closed, then along the direction."""
    place = world.pose(task.target)[0]
    along = np.array([*DIRECTIONS[task.direction], 0.0])
    yaw = float(np.arctan2(along[1], along[0]))
    yaw = yaw if abs(yaw) <= np.pi / 2 else yaw - np.sign(yaw) * np.pi
    start = place - _BEHIND_M * along
    high, low = np.array([*start[:2], _ABOVE_M]), np.array([*start[:2], 0.022])
    yield from go(world, high, yaw=yaw, closed=1.0, near=0.02)
    yield from go(world, low, yaw=yaw, closed=1.0)
    goal = low + (_BEHIND_M + _BEYOND_M + 0.01) * along
    yield from go(world, goal, yaw=yaw, closed=1.0, speed=0.7)
