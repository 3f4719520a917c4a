"""Pour the named cup into the named bowl: small balls roll out of a tilted cup; two cups, two bowls.

Success is when both balls of the cup lie in the bowl. The one thing to watch: putting the whole
cup into the bowl is no pouring, so the cup may not be in it.
"""

from __future__ import annotations

from functools import partial
from itertools import product

import numpy as np

from embodia.envs.desk.grammar import COLOURS, Request
from embodia.envs.desk.scenes import Fixture, Scene, Thing
from embodia.envs.desk.tasks import Memory
from embodia.envs.desk.tasks._spoken import Spoken
from embodia.envs.desk.tasks._table import Table, rival_colour
from embodia.envs.desk.world import World

CUP_M, BOWL_M, BALL_M = (0.03, 0.035), (0.065, 0.022), 0.009
BALLS, ENOUGH = 2, 2
_BOWL_X_M, _BOWL_Y_M = (-0.12, 0.09), (-0.22, 0.22)
"""Where a cup can be tipped over: farther away the wrist cannot lean that far."""
_GREY = (0.85, 0.85, 0.85, 1.0)


def balls_of(cup: str) -> tuple[str, ...]:
    """Names of the balls that start in a cup."""
    return tuple(f"{cup}-ball{index}" for index in range(BALLS))


def _cup(colour: str, at: tuple[float, float]) -> tuple[Thing, ...]:
    name = f"{colour}-cup"
    cup = Thing(name=name, shape="cup", size_m=CUP_M, rgba=COLOURS[colour], position_m=(*at, CUP_M[1]), mass_kg=0.06)
    angles = 2 * np.pi * np.arange(BALLS) / BALLS
    balls = (
        Thing(
            name=ball,
            shape="sphere",
            size_m=(BALL_M,),
            rgba=_GREY,
            position_m=(at[0] + 0.011 * float(np.cos(a)), at[1] + 0.011 * float(np.sin(a)), 0.018),
            mass_kg=0.005,
            friction=0.3,
        )
        for ball, a in zip(balls_of(name), angles, strict=True)
    )
    return cup, *balls


def _lay(cups: tuple[str, str], bowls: tuple[str, str], rng: np.random.Generator) -> Scene:
    table = Table(rng)
    dishes = tuple(
        Fixture(
            kind="bowl",
            name=f"{colour}-bowl",
            size_m=BOWL_M,
            position_m=(*table.spot(0.085, x=_BOWL_X_M, y=_BOWL_Y_M), 0.0),
            rgba=COLOURS[colour],
        )
        for colour in sorted(bowls)
    )
    things = tuple(thing for colour in sorted(cups) for thing in _cup(colour, table.spot(0.06)))
    return Scene(things=things, fixtures=dishes)


def _within(world: World, name: str, bowl: str, radius: float) -> bool:
    offset = world.pose(name)[0] - world.pose(bowl)[0]
    return bool(np.linalg.norm(offset[:2]) < radius and offset[2] < 2 * BOWL_M[1])


def _poured(cup: str, bowl: str, world: World, memory: Memory) -> bool:
    inside = sum(_within(world, ball, bowl, BOWL_M[0]) for ball in balls_of(cup))
    return inside >= ENOUGH and not _within(world, cup, bowl, BOWL_M[0])


def _task(colour: str, dish: str) -> Spoken:
    other, beside = rival_colour(colour, 1), rival_colour(dish, 0)
    target, goal = f"{colour}-cup", f"{dish}-bowl"
    return Spoken(
        name=f"pour/{target}/{goal}",
        family="pour",
        request=Request(verb="pour", colour=colour, shape="cup", place=goal),
        partners=tuple(f"pour/{c}-cup/{d}-bowl" for c, d in ((colour, beside), (other, dish), (other, beside))),
        lay=partial(_lay, (colour, other), (dish, beside)),
        holds=partial(_poured, target, goal),
        target=target,
        goal=goal,
    )


TASKS = tuple(_task(colour, dish) for colour, dish in product(COLOURS, COLOURS))
