"""Push the named thing to a side, or onto the white mark, without lifting it; the other thing is left alone.

Sides are the robot's: left is +y, away is +x. The one thing to watch: balls roll on, so they have no place on a mark.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import product
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from embodia.core.errors import EnvironmentFailure
from embodia.envs.desk.grammar import COLOURS, SHAPES, Request
from embodia.envs.desk.scenes import Fixture, Scene
from embodia.envs.desk.tasks import Memory
from embodia.envs.desk.tasks._spoken import Spoken, where_things_are
from embodia.envs.desk.tasks._table import Kind, Table, pair, rival
from embodia.envs.desk.world import World

Point: TypeAlias = npt.NDArray[np.float64]

FAR_M, ASTRAY_M, STILL_M, LIFTED_M, ON_MARK_M = 0.07, 0.05, 0.03, 0.012, 0.03
SIDES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"left": (0.0, 1.0), "right": (0.0, -1.0), "away": (1.0, 0.0), "near": (-1.0, 0.0)}
)
"""Side -> direction on the table."""
_X_M, _Y_M = (-0.09, 0.11), (-0.17, 0.17)
_RUN_UP_M, _CLEAR_M = 0.12, 0.08
_MARK_M, _WHITE = 0.045, (0.95, 0.95, 0.95, 1.0)


def lay(kinds: tuple[Kind, Kind], rng: np.random.Generator) -> Scene:
    """Two things and a mark, the way from each to the mark free."""
    table = Table(rng)
    things = pair(table, kinds, 0.065, x=_X_M, y=_Y_M)
    at = table.spot(0.065, x=_X_M, y=_Y_M)
    mark = Fixture(kind="mark", name="mark", size_m=(_MARK_M,), position_m=(*at, 0.0), rgba=_WHITE)
    spots = [np.array(item.position_m[:2]) for item in things]
    if any(_in_the_way(spots[1 - i], spots[i], np.array(at)) for i in (0, 1)):
        raise EnvironmentFailure("a thing stands on the way of the other one to the mark")
    return Scene(things=things, fixtures=(mark,))


def _in_the_way(other: Point, start: Point, goal: Point) -> bool:
    """Whether something stands on the line of a push, or where the hand begins it."""
    line = (goal - start) / np.linalg.norm(goal - start)
    along = float((other - start) @ line)
    aside = abs(float((other - start) @ np.array([-line[1], line[0]])))
    return -_RUN_UP_M < along < float(np.linalg.norm(goal - start)) + _CLEAR_M and aside < _CLEAR_M


def _left_alone(others: tuple[str, ...], world: World, memory: Memory) -> bool:
    return all(bool(np.linalg.norm(world.pose(other)[0] - memory[other]) < STILL_M) for other in others)


def _on_table(target: str, world: World, memory: Memory) -> bool:
    return bool(world.pose(target)[0][2] < memory[target][2] + LIFTED_M)


def pushed(target: str, others: tuple[str, ...], side: str, world: World, memory: Memory) -> bool:
    """Whether a thing has gone `FAR_M` to a side on the table, less than `ASTRAY_M` across, the others left alone."""
    moved = (world.pose(target)[0] - memory[target])[:2]
    along = np.array(SIDES[side])
    astray = abs(moved[0] * along[1] - moved[1] * along[0])
    there = moved @ along > FAR_M and astray < ASTRAY_M
    return bool(there and _on_table(target, world, memory) and _left_alone(others, world, memory))


def on_mark(target: str, others: tuple[str, ...], world: World, memory: Memory) -> bool:
    """Whether a thing lies on the mark, never mind how, and the others were left alone."""
    away = (world.pose(target)[0] - world.pose("mark")[0])[:2]
    there = np.linalg.norm(away) < ON_MARK_M
    return bool(there and _on_table(target, world, memory) and _left_alone(others, world, memory))


def _places(shape: str) -> tuple[str, ...]:
    return (*SIDES, *(() if shape == "ball" else ("mark",)))


def _task(colour: str, shape: str, place: str) -> Spoken:
    other = rival(colour, shape, 1)
    target, beside = f"{colour}-{shape}", "-".join(other)
    names = [f"push/{target}/{way}" for way in _places(shape)] + [f"push/{beside}/{way}" for way in _places(other[1])]
    same = f"push/{beside}/{place}"
    ordered = [same, *names] if same in names else names
    test = partial(on_mark, target, (beside,)) if place == "mark" else partial(pushed, target, (beside,), place)
    return Spoken(
        name=f"push/{target}/{place}",
        family="push",
        request=Request(verb="push", colour=colour, shape=shape, place=place),
        partners=tuple(dict.fromkeys(name for name in ordered if name != f"push/{target}/{place}")),
        lay=partial(lay, ((colour, shape), other)),
        holds=test,
        remember=where_things_are,
        target=target,
        goal="mark" if place == "mark" else "",
        also=("arm6", "hand"),
    )


TASKS = tuple(_task(colour, shape, place) for colour, shape in product(COLOURS, SHAPES) for place in _places(shape))
