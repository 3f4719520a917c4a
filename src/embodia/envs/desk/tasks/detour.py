"""Round a wall: reach a thing behind it, or carry one to the mark behind it; left, right and over are all ways.

A sentence may say which way ("passing the wall on the left") or leave it open, and then demonstrations have several
modes. Touching the wall, with the arm or with a thing, spoils the episode for good. The one thing to watch: the way is
read off the last crossing of the wall's plane, at the tool when reaching and at the thing when carrying.
"""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from embodia.envs.desk.grammar import COLOURS, Request
from embodia.envs.desk.scenes import Fixture, Scene
from embodia.envs.desk.tasks import Memory
from embodia.envs.desk.tasks._spoken import Spoken
from embodia.envs.desk.tasks._table import Kind, Range, Table, heading, pair, rival_colour
from embodia.envs.desk.tasks.place import inside
from embodia.envs.desk.tasks.reach import NEAR_M
from embodia.envs.desk.world import World

Point: TypeAlias = npt.NDArray[np.float64]

WALL = "wall"
WAYS = ("left", "right", "over")
"""Ways past the wall; left is the robot's, +y."""
MANNERS = ("", *(f"by-{way}" for way in WAYS))
_THICK_M, _WIDE_M, _HIGH_M = (0.012, 0.025), (0.08, 0.10), (0.05, 0.065)
_WALL_X_M, _WALL_Y_M, _TURN_RAD = (0.0, 0.03), 0.03, 0.12
_NEAR_X_M, _FAR_X_M, _Y_M = (-0.22, -0.13), (0.115, 0.16), 0.1
_LOW: tuple[float, ...] = (0.0, 0.5905, 0.0, 2.3516, 0.0, 0.1995, 0.0)
"""Joints at which the hand is low and before the wall, at (-0.2, 0, 0.08)."""
_WOOD, _WHITE, _MARK_M = (0.45, 0.30, 0.18, 1.0), (0.95, 0.95, 0.95, 1.0), (0.045,)


def past_wall(world: World, point: Point) -> Point:
    """A point as the wall has it (3,): how far behind its middle, how far to the left, how high over the table."""
    x, y, z = point - world.pose(WALL)[0]
    cos, sin = np.cos(heading(world, WALL)), np.sin(heading(world, WALL))
    return np.array([cos * x + sin * y, cos * y - sin * x, z])


def wall(world: World) -> Fixture:
    """The wall of a scene."""
    return next(item for item in world.scene.fixtures if item.name == WALL)


def way_of(crossing: Point, half_width_m: float) -> str:
    """By which way a point passes that crosses the plane of the wall there."""
    if abs(float(crossing[1])) < half_width_m:
        return "over"
    return "left" if crossing[1] > 0 else "right"


def _subject(target: str, verb: str, world: World) -> Point:
    return past_wall(world, world.tool()[0] if verb == "reach" else world.pose(target)[0])


def _begin(target: str, verb: str, world: World) -> Memory:
    return {"touched": False, "way": "", "before": _subject(target, verb, world)}


def _note(target: str, verb: str, world: World, memory: Memory) -> None:
    """Follow the subject: what it touched so far and how it last crossed the plane of the wall."""
    things = (item.name for item in world.scene.things)
    memory["touched"] = memory["touched"] or any(world.touching(WALL, name) for name in ("arm", *things))
    here, before = _subject(target, verb, world), memory["before"]
    if before[0] <= 0 < here[0]:
        crossing = before + (here - before) * (-before[0] / (here[0] - before[0]))
        memory["way"] = way_of(crossing, wall(world).size_m[1])
    elif here[0] <= 0:
        memory["way"] = ""
    memory["before"] = here


def _passed(target: str, verb: str, manner: str, world: World, memory: Memory) -> bool:
    _note(target, verb, world, memory)
    if memory["touched"] or not memory["way"] or (manner and manner != f"by-{memory['way']}"):
        return False
    if verb == "carry":
        return inside(world, target, "mark")
    return bool(np.linalg.norm(world.tool()[0] - world.pose(target)[0]) < NEAR_M)


def _obstacle(rng: np.random.Generator) -> Fixture:
    size = tuple(float(rng.uniform(*limits)) for limits in (_THICK_M, _WIDE_M, _HIGH_M))
    at = float(rng.uniform(*_WALL_X_M)), float(rng.uniform(-_WALL_Y_M, _WALL_Y_M)), 0.0
    turn = float(rng.uniform(-_TURN_RAD, _TURN_RAD))
    return Fixture(kind="wall", name=WALL, size_m=size, position_m=at, yaw_rad=turn, rgba=_WOOD)


def _lay(verb: str, colours: tuple[str, str], rng: np.random.Generator) -> Scene:
    table, block = Table(rng), _obstacle(rng)
    kinds: tuple[Kind, Kind] = ((colours[0], "cube"), (colours[1], "cube"))
    beside: Range = (block.position_m[1] - _Y_M, block.position_m[1] + _Y_M)
    if verb == "reach":
        swing = float(rng.uniform(-0.25, 0.25))
        start = (swing, *_LOW[1:-1], swing)
        return Scene(things=pair(table, kinds, 0.05, x=_FAR_X_M, y=beside), fixtures=(block,), start_joints=start)
    things = pair(table, kinds, 0.05, x=_NEAR_X_M, y=beside)
    at = table.spot(0.05, x=_FAR_X_M, y=(0.6 * beside[0], 0.6 * beside[1]))
    mark = Fixture(kind="mark", name="mark", size_m=_MARK_M, position_m=(*at, 0.0), rgba=_WHITE)
    return Scene(things=things, fixtures=(block, mark))


def _name(verb: str, colour: str, manner: str) -> str:
    return f"detour/{verb}/{colour}-cube" + (f"/{manner.removeprefix('by-')}" if manner else "")


def _task(verb: str, colour: str, manner: str) -> Spoken:
    other = rival_colour(colour, 2)
    target = f"{colour}-cube"
    ways = [way for way in MANNERS if way and manner and way != manner]
    return Spoken(
        name=_name(verb, colour, manner),
        family="detour",
        request=Request(verb=f"detour-{verb}", colour=colour, shape="cube", manner=manner),
        partners=(_name(verb, other, manner), *(_name(verb, colour, way) for way in ways)),
        lay=partial(_lay, verb, (colour, other)),
        holds=partial(_passed, target, verb, manner),
        remember=partial(_begin, target, verb),
        target=target,
        goal="mark" if verb == "carry" else "",
    )


TASKS = tuple(_task(verb, colour, manner) for verb, manner, colour in product(("reach", "carry"), MANNERS, COLOURS))
