"""Drive round walls to what is named and use the arm there: press one of three buttons, or pick up one of two cubes.

Whoever hits a wall on the way has failed. The one thing to watch: what is named is far out of the arm's reach at first,
and the straight way to it and to its rival is barred.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from embodia.core.errors import EnvironmentFailure
from embodia.envs.desk.grammar import COLOURS, Request
from embodia.envs.desk.scenes import Fixture, Scene, Thing
from embodia.envs.desk.tasks import Memory
from embodia.envs.desk.tasks._room import STAND_M, Floor, Spot, barred, hit, spread, unhurt, walls_between
from embodia.envs.desk.tasks._spoken import Spoken
from embodia.envs.desk.tasks._table import rival_colour
from embodia.envs.desk.world import World

BUTTON_M, CUBE_M, LIFTED_M, PRESSED = (0.05, 0.04), 0.03, 0.12, 0.7
_APART_M, _WITHIN_M = 0.8, 0.95
_Place = tuple[Spot, tuple[Spot, ...], tuple[Fixture, ...]]


def _rooms(count: int, rng: np.random.Generator) -> _Place:
    """Start, places for `count` goals, walls; before the first two goals there is room to stand."""
    start, *goals = spread(rng, count + 1, _APART_M, _WITHIN_M)
    walls = walls_between(rng, start, tuple(goals[:2]))
    barred(Floor(walls), start, tuple(goals))
    for goal in goals[:2]:
        floor = Floor(walls, [(*at, 0.1) for at in goals])
        places = floor.stands(np.array(goal), STAND_M)
        if not len(places) or not np.isfinite(floor.lengths(np.array(start), places)).any():
            raise EnvironmentFailure("no place to stand before a goal")
    return start, tuple(goals), walls


def _button(colour: str, at: Spot) -> Fixture:
    name = f"{colour}-button"
    return Fixture(kind="button", name=name, size_m=BUTTON_M, position_m=(*at, 0.0), rgba=COLOURS[colour])


def _cube(colour: str, at: Spot, rng: np.random.Generator) -> Thing:
    return Thing(
        name=f"{colour}-cube",
        size_m=(CUBE_M,) * 3,
        rgba=COLOURS[colour],
        position_m=(*at, CUBE_M),
        yaw_rad=float(rng.uniform(-np.pi / 4, np.pi / 4)),
        mass_kg=0.1,
    )


def _lay_buttons(colours: tuple[str, str], rng: np.random.Generator) -> Scene:
    third = str(rng.choice([colour for colour in COLOURS if colour not in colours]))
    start, goals, walls = _rooms(3, rng)
    buttons = tuple(_button(colour, at) for colour, at in zip((*sorted(colours), third), goals, strict=True))
    return Scene(body="mobile", fixtures=(*buttons, *walls), start_base=(*start, float(rng.uniform(-np.pi, np.pi))))


def _lay_cubes(colours: tuple[str, str], rng: np.random.Generator) -> Scene:
    start, goals, walls = _rooms(2, rng)
    cubes = tuple(_cube(colour, at, rng) for colour, at in zip(sorted(colours), goals, strict=True))
    return Scene(body="mobile", things=cubes, fixtures=walls, start_base=(*start, float(rng.uniform(-np.pi, np.pi))))


def pressed(target: str, world: World, memory: Memory) -> bool:
    """Whether a button is down, and no wall was hit on the way."""
    return not hit(world, memory) and world.joint(target) > PRESSED


def lifted(target: str, world: World, memory: Memory) -> bool:
    """Whether the hand holds a thing over the floor, and no wall was hit on the way."""
    return not hit(world, memory) and bool(world.holding(target) and world.pose(target)[0][2] > LIFTED_M)


def _task(verb: str, way: str, colour: str, shape: str, lay: Callable[..., Scene], test: Callable[..., bool]) -> Spoken:
    other, target = rival_colour(colour, 1), f"{colour}-{shape}"
    return Spoken(
        name=f"errand/{way}/{target}",
        family="errand",
        request=Request(verb=verb, colour=colour, shape=shape),
        partners=(f"errand/{way}/{other}-{shape}",),
        lay=partial(lay, (colour, other)),
        holds=partial(test, target),
        remember=unhurt,
        target=target,
        body="mobile",
    )


TASKS = (
    *(_task("drive-press", "press", colour, "button", _lay_buttons, pressed) for colour in COLOURS),
    *(_task("fetch", "pick", colour, "cube", _lay_cubes, lifted) for colour in COLOURS),
)
