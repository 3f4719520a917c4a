"""Reach the thing that is named: the tool point comes near its centre; at least one other thing is there too."""

from __future__ import annotations

from functools import partial
from itertools import product

import numpy as np

from embodia.envs.desk.grammar import COLOURS, SHAPES, Request
from embodia.envs.desk.scenes import Scene
from embodia.envs.desk.tasks import Memory
from embodia.envs.desk.tasks._spoken import Spoken
from embodia.envs.desk.tasks._table import Kind, Table, bystanders, pair, rival
from embodia.envs.desk.world import World

NEAR_M = 0.04
_APART_M = 0.055


def _lay(kinds: tuple[Kind, Kind], rng: np.random.Generator) -> Scene:
    table = Table(rng)
    things = pair(table, kinds, _APART_M)
    return Scene(things=(*things, *bystanders(table, kinds, radius=_APART_M)))


def _holds(target: str, world: World, memory: Memory) -> bool:
    return bool(np.linalg.norm(world.tool()[0] - world.pose(target)[0]) < NEAR_M)


def _task(colour: str, shape: str) -> Spoken:
    other = rival(colour, shape, 0)
    target = f"{colour}-{shape}"
    return Spoken(
        name=f"reach/{target}",
        family="reach",
        request=Request(verb="reach", colour=colour, shape=shape),
        partners=(f"reach/{other[0]}-{other[1]}",),
        lay=partial(_lay, ((colour, shape), other)),
        holds=partial(_holds, target),
        target=target,
        also=("arm6", "hand"),
    )


TASKS = tuple(_task(colour, shape) for colour, shape in product(COLOURS, SHAPES))
