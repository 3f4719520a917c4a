"""Scripts of experts on Desk for a body on wheels: drive round walls, stop before a thing, then use the arm.

The one thing to watch: the hand is carried along, so an arm is moved only while the wheels stand.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from embodia.core.errors import EnvironmentFailure
from embodia.envs.desk.tasks._room import STAND_M, Floor
from embodia.envs.desk.tasks._spoken import Spoken
from embodia.envs.desk.world import World
from embodia.generate.experts._angles import wrapped
from embodia.generate.experts._desk_hand import Floats, Hand, grasp, rise
from embodia.generate.experts._desk_motion import Actions
from embodia.generate.experts._desk_push import press

_AHEAD_M = 0.5
_GAIN_HZ, _TURN_HZ = 3.0, 2.0
_THERE_M, _THERE_RAD = 0.02, 0.06


def floor_of(world: World) -> Floor:
    """The room of a world: its walls, and everything else that stands in it as discs."""
    fixtures = world.scene.fixtures
    walls = [item for item in fixtures if item.kind == "wall"]
    discs = [(*item.position_m[:2], 1.35 * item.size_m[0]) for item in fixtures if item.kind == "button"]
    discs += [(*map(float, world.pose(item.name)[0][:2]), max(item.size_m)) for item in world.scene.things]
    return Floor(walls, discs)


def drive(hand: Hand, goal: Floats, facing: float | None = None, *, limit: int = 240) -> Actions:
    """Drive the base to x, y, looking ahead on the way and turned to `facing` (rad) at the end."""
    world, floor = hand.world, floor_of(hand.world)
    way = floor.way(world.base()[:2], goal)
    done = 0
    for _ in range(limit):
        here, yaw = world.base()[:2], float(world.base()[2])
        left = float(np.linalg.norm(goal - here))
        turned = facing is None or abs(wrapped(facing - yaw)) < _THERE_RAD
        if left < _THERE_M and turned:
            break
        while done + 1 < len(way) and np.linalg.norm(way[done] - here) < _AHEAD_M:
            if not floor.straight(here, way[done + 1]):
                break
            done += 1
        ahead = way[done] - here
        looking = float(np.arctan2(ahead[1], ahead[0])) if left > _AHEAD_M else facing
        yield _rolling(hand, ahead if done + 1 == len(way) else _AHEAD_M * _unit(ahead), looking)


def _unit(line: Floats) -> Floats:
    return line / (1e-9 + float(np.linalg.norm(line)))


def _rolling(hand: Hand, ahead: Floats, looking: float | None) -> npt.NDArray[np.float32]:
    """Wheels towards a place that is `ahead` (2,) m away, turning to a heading; the arm rests."""
    world = hand.world
    yaw, body = float(world.base()[2]), world.body
    speed = _GAIN_HZ * ahead / body.drive_m_s
    speed *= min(1.0, hand.habit.speed / (1e-9 + float(np.linalg.norm(speed))))
    action = hand.still()
    action[-3] = np.cos(yaw) * speed[0] + np.sin(yaw) * speed[1]
    action[-2] = np.cos(yaw) * speed[1] - np.sin(yaw) * speed[0]
    turn = 0.0 if looking is None else _TURN_HZ * wrapped(looking - yaw) / body.spin_rad_s
    action[-1] = np.clip(turn, -1.0, 1.0)
    return action


def navigate(hand: Hand, task: Spoken) -> Actions:
    """Drive onto the mark of a task and stand there."""
    yield from drive(hand, hand.world.pose(task.target)[0][:2])
    yield hand.still()


def before(world: World, target: str) -> tuple[Floats, float]:
    """A free place for the base from which the arm reaches a thing, the nearest by way, and the heading towards it.

    Raises `EnvironmentFailure` when there is none.
    """
    floor, thing = floor_of(world), world.pose(target)[0][:2]
    places = floor.stands(thing, STAND_M)
    if not len(places):
        raise EnvironmentFailure("no place to stand", leaf=target)
    at = places[int(np.argmin(floor.lengths(world.base()[:2], places)))]
    return at, float(np.arctan2(*(thing - at)[::-1]))


def press_button(hand: Hand, task: Spoken) -> Actions:
    """Drive to a button and press it."""
    yield from drive(hand, *before(hand.world, task.target))
    yield from press(hand, task.target)


def pick_up(hand: Hand, task: Spoken) -> Actions:
    """Drive to a thing, take it and lift it."""
    yield from drive(hand, *before(hand.world, task.target))
    yield from grasp(hand, task.target)
    yield from rise(hand, 0.3)
