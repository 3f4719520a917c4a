"""Pick the named thing up and put it in the bowl, in the bin or on the white mark; bowl, bin and mark are always there.

What counts is where the thing rests once the hand has let go. The one thing to watch: a thing that is pushed onto the
mark is on the mark; that it was lifted is asked for only where walls make it necessary.
"""

from __future__ import annotations

from functools import partial
from itertools import product

import numpy as np

from embodia.envs.desk.grammar import COLOURS, SHAPES, Request
from embodia.envs.desk.scenes import Fixture, Rgba, Scene
from embodia.envs.desk.tasks import Memory
from embodia.envs.desk.tasks._spoken import Spoken
from embodia.envs.desk.tasks._table import Kind, Table, bystanders, in_frame_of, pair, rival
from embodia.envs.desk.world import World

PLACES = ("bowl", "bin", "mark")
BOWL_M, BIN_M, MARK_M = (0.06, 0.02), (0.055, 0.055, 0.02), (0.045,)
_WALL_M = 0.01
_WHITE: Rgba = (0.95, 0.95, 0.95, 1.0)
_PLAIN: tuple[Rgba, ...] = ((0.35, 0.35, 0.38, 1.0), (0.75, 0.72, 0.66, 1.0), (0.45, 0.30, 0.18, 1.0))


def containers(table: Table) -> tuple[Fixture, ...]:
    """A bowl, a bin and a white mark, each at a free place, in colours that no sentence names."""
    paint = table.rng.permutation(len(_PLAIN))
    bowl = Fixture(kind="bowl", name="bowl", size_m=BOWL_M, position_m=(*table.spot(0.075), 0.0), rgba=_PLAIN[paint[0]])
    box = Fixture(kind="bin", name="bin", size_m=BIN_M, position_m=(*table.spot(0.085), 0.0), rgba=_PLAIN[paint[1]])
    mark = Fixture(kind="mark", name="mark", size_m=MARK_M, position_m=(*table.spot(0.06), 0.0), rgba=_WHITE)
    return bowl, box, mark


def inside(world: World, name: str, place: str) -> bool:
    """Whether a thing rests in a bowl or bin, or on a mark, and the hand does not touch it."""
    offset = in_frame_of(world, name, place)
    fixture = next(item for item in world.scene.fixtures if item.name == place)
    if fixture.kind == "bin":
        width, depth = fixture.size_m[0] - _WALL_M, fixture.size_m[1] - _WALL_M
        there = abs(offset[0]) < depth and abs(offset[1]) < width
    else:
        there = bool(np.linalg.norm(offset[:2]) < (0.045 if fixture.kind == "bowl" else 0.035))
    low = offset[2] < (0.035 if fixture.kind == "mark" else 0.05)
    return bool(there and low and not world.touching(name, "hand"))


def _lay(kinds: tuple[Kind, Kind], rng: np.random.Generator) -> Scene:
    table = Table(rng)
    fixtures = containers(table)
    things = pair(table, kinds, 0.055)
    return Scene(things=(*things, *bystanders(table, kinds, radius=0.05)), fixtures=fixtures)


def _holds(target: str, place: str, world: World, memory: Memory) -> bool:
    return inside(world, target, place)


def _task(colour: str, shape: str, place: str) -> Spoken:
    other = rival(colour, shape, 2)
    target, beside = f"{colour}-{shape}", "-".join(other)
    partners = [f"place/{beside}/{place}", *(f"place/{target}/{way}" for way in _places(shape) if way != place)]
    known = [name for name in partners if place in _places(other[1]) or not name.startswith(f"place/{beside}")]
    return Spoken(
        name=f"place/{target}/{place}",
        family="place",
        request=Request(verb="place", colour=colour, shape=shape, place=place),
        partners=tuple(known),
        lay=partial(_lay, ((colour, shape), other)),
        holds=partial(_holds, target, place),
        target=target,
        goal=place,
        also=("arm6",),
    )


def _places(shape: str) -> tuple[str, ...]:
    return tuple(place for place in PLACES if (shape, place) != ("ball", "mark"))


TASKS = tuple(_task(colour, shape, place) for colour, shape in product(COLOURS, SHAPES) for place in _places(shape))
