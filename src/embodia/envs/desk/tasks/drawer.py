"""Two drawers in two colours, half open: open one, close one, or put a thing into one.

Both drawers stand half open, so that all four sentences make sense in every scene. The one thing to watch: a thing is
in a drawer when it lies inside the box that moves, wherever that box is.
"""

from __future__ import annotations

from functools import partial
from itertools import product

import numpy as np

from embodia.envs.desk.grammar import COLOURS, Request
from embodia.envs.desk.scenes import Fixture, Scene
from embodia.envs.desk.tasks import Memory
from embodia.envs.desk.tasks._spoken import Spoken
from embodia.envs.desk.tasks._table import Table, loose, rival_colour
from embodia.envs.desk.world import World

SIZE_M = (0.075, 0.07, 0.035)
OPEN_M, CLOSED_M = 0.09, 0.012
_HALF_OPEN_M = (0.03, 0.06)
_FULLY_M = (0.095, 0.11)
_LOOSE_X_M, _LOOSE_Y_M = (-0.24, -0.10), (-0.24, 0.24)


def cabinet(colour: str, at: tuple[float, float], yaw: float, start: float) -> Fixture:
    """A drawer in its cabinet, called "red-drawer"; it opens towards the robot when yaw is 0."""
    name = f"{colour}-drawer"
    return Fixture(
        kind="drawer", name=name, size_m=SIZE_M, position_m=(*at, 0.0), yaw_rad=yaw, rgba=COLOURS[colour], start=start
    )


def in_drawer(world: World, name: str, drawer: str) -> bool:
    """Whether a thing lies in the box of a drawer, and the hand does not touch it."""
    place, (w, x, y, z) = world.part(drawer)
    offset = world.pose(name)[0] - place
    yaw = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    along = np.cos(yaw) * offset[0] + np.sin(yaw) * offset[1]
    across = np.cos(yaw) * offset[1] - np.sin(yaw) * offset[0]
    fits = abs(along) < SIZE_M[1] and abs(across) < SIZE_M[0]
    return bool(fits and 0.0 < offset[2] < 0.06 and not world.touching(name, "hand"))


def _cabinets(colours: tuple[str, str], opening: tuple[float, float], rng: np.random.Generator) -> tuple[Fixture, ...]:
    order = [colours[i] for i in rng.permutation(2)]
    x, gap = rng.uniform(0.19, 0.23, 2), rng.uniform(0.095, 0.13, 2)
    return tuple(
        cabinet(
            colour, (float(x[i]), float(side * gap[i])), float(rng.uniform(-0.08, 0.08)), float(rng.uniform(*opening))
        )
        for i, (colour, side) in enumerate(zip(order, (-1.0, 1.0), strict=True))
    )


def _lay(colours: tuple[str, str], rng: np.random.Generator) -> Scene:
    return Scene(fixtures=_cabinets(colours, _HALF_OPEN_M, rng))


def _lay_things(drawers: tuple[str, str], things: tuple[str, str], rng: np.random.Generator) -> Scene:
    table = Table(rng)
    fixtures = _cabinets(drawers, _FULLY_M, rng)
    found = tuple(loose(c, "cube", table.spot(0.06, _LOOSE_X_M, _LOOSE_Y_M), rng) for c in sorted(things))
    return Scene(things=found, fixtures=fixtures)


def opened(drawer: str, world: World, memory: Memory) -> bool:
    """Whether a drawer is out."""
    return world.joint(drawer) > OPEN_M


def closed(drawer: str, world: World, memory: Memory) -> bool:
    """Whether a drawer is in."""
    return world.joint(drawer) < CLOSED_M


def _stowed(target: str, drawer: str, world: World, memory: Memory) -> bool:
    return in_drawer(world, target, drawer)


def _slide(verb: str, colour: str) -> Spoken:
    other = rival_colour(colour, 0)
    names = [f"drawer/{way}/{which}" for which in (other, colour) for way in (verb, "open", "close")]
    return Spoken(
        name=f"drawer/{verb}/{colour}",
        family="drawer",
        request=Request(verb=verb, colour=colour, shape="drawer"),
        partners=tuple(dict.fromkeys(name for name in names if name != f"drawer/{verb}/{colour}")),
        lay=partial(_lay, (min(colour, other), max(colour, other))),
        holds=partial(opened if verb == "open" else closed, f"{colour}-drawer"),
        target=f"{colour}-drawer",
        also=("arm6",),
    )


def _stow(colour: str, drawer: str) -> Spoken:
    other, beside = rival_colour(colour, 1), rival_colour(drawer, 0)
    target, goal = f"{colour}-cube", f"{drawer}-drawer"
    return Spoken(
        name=f"drawer/put/{target}/{drawer}",
        family="drawer",
        request=Request(verb="stow", colour=colour, shape="cube", place=goal),
        partners=tuple(f"drawer/put/{c}-cube/{d}" for c, d in ((other, drawer), (colour, beside), (other, beside))),
        lay=partial(_lay_things, (min(drawer, beside), max(drawer, beside)), (colour, other)),
        holds=partial(_stowed, target, goal),
        target=target,
        goal=goal,
        also=("arm6",),
    )


TASKS = (
    *(_slide(verb, colour) for verb, colour in product(("open", "close"), COLOURS)),
    *(_stow(colour, drawer) for colour, drawer in product(COLOURS, COLOURS)),
)
