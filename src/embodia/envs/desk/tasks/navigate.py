"""Drive to the mark of the named colour, one of three, round the walls between; whoever hits a wall has failed.

The straight way to the named mark and to its rival is always barred. The one thing to watch: the base has to stand
still on the mark, driving across it does not count.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from embodia.envs.desk.grammar import COLOURS, Request
from embodia.envs.desk.scenes import Fixture, Scene
from embodia.envs.desk.tasks import Memory
from embodia.envs.desk.tasks._room import Floor, Spot, barred, hit, spread, unhurt, walls_between
from embodia.envs.desk.tasks._spoken import Spoken
from embodia.envs.desk.tasks._table import rival_colour
from embodia.envs.desk.world import World

MARK_M, ON_MARK_M, STILL_M = 0.16, 0.1, 0.006
"""Radius of a mark; how near its middle the base has to be; how little it may move in a step."""
_APART_M, _WITHIN_M = 0.75, 1.0


def _mark(colour: str, at: Spot) -> Fixture:
    name = f"{colour}-mark"
    return Fixture(kind="mark", name=name, size_m=(MARK_M,), position_m=(*at, 0.0), rgba=COLOURS[colour])


def _lay(colours: tuple[str, str], rng: np.random.Generator) -> Scene:
    third = str(rng.choice([colour for colour in COLOURS if colour not in colours]))
    start, *goals = spread(rng, 4, _APART_M, _WITHIN_M)
    walls = walls_between(rng, start, tuple(goals[:2]))
    barred(Floor(walls), start, tuple(goals))
    marks = tuple(_mark(colour, at) for colour, at in zip((*sorted(colours), third), goals, strict=True))
    return Scene(body="mobile", fixtures=(*marks, *walls), start_base=(*start, float(rng.uniform(-np.pi, np.pi))))


def starting(world: World) -> Memory:
    """Where the base is, and that no wall was hit."""
    return {**unhurt(world), "before": world.base()}


def arrived(target: str, world: World, memory: Memory) -> bool:
    """Whether the base stands still on a mark and has hit no wall."""
    here, before = world.base(), memory["before"]
    memory["before"] = here
    failed = hit(world, memory)
    near = np.linalg.norm(here[:2] - world.pose(target)[0][:2]) < ON_MARK_M
    return bool(near and np.linalg.norm(here[:2] - before[:2]) < STILL_M and not failed)


def _task(colour: str) -> Spoken:
    other = rival_colour(colour, 0)
    return Spoken(
        name=f"navigate/{colour}-mark",
        family="navigate",
        request=Request(verb="drive", colour=colour, shape="mark"),
        partners=(f"navigate/{other}-mark",),
        lay=partial(_lay, (colour, other)),
        holds=partial(arrived, f"{colour}-mark"),
        remember=starting,
        target=f"{colour}-mark",
        body="mobile",
    )


TASKS = tuple(_task(colour) for colour in COLOURS)
