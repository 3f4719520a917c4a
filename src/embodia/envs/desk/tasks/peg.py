"""Insert the named peg into the named hole: two square pegs and two sockets, in colours of their own.

The hole leaves 3 mm on each side. The one thing to watch: a peg that lies across the socket is not in it; its foot has
to be down in the hole.
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

PEG_M, SOCKET_M = (0.012, 0.012, 0.045), (0.015, 0.04, 0.02)
DEEP_M = 0.012
_TURN_RAD = 0.5


def _peg(colour: str, at: tuple[float, float], rng: np.random.Generator) -> Thing:
    return Thing(
        name=f"{colour}-peg",
        size_m=PEG_M,
        rgba=COLOURS[colour],
        position_m=(*at, PEG_M[2]),
        yaw_rad=float(rng.uniform(-np.pi / 4, np.pi / 4)),
        mass_kg=0.04,
    )


def _socket(colour: str, at: tuple[float, float], rng: np.random.Generator) -> Fixture:
    yaw = float(rng.uniform(-_TURN_RAD, _TURN_RAD))
    name = f"{colour}-socket"
    return Fixture(kind="socket", name=name, size_m=SOCKET_M, position_m=(*at, 0.0), yaw_rad=yaw, rgba=COLOURS[colour])


def _lay(pegs: tuple[str, str], sockets: tuple[str, str], rng: np.random.Generator) -> Scene:
    table = Table(rng)
    holes = tuple(_socket(colour, table.spot(0.075), rng) for colour in sorted(sockets))
    return Scene(things=tuple(_peg(colour, table.spot(0.06), rng) for colour in sorted(pegs)), fixtures=holes)


def _inserted(peg: str, socket: str, world: World, memory: Memory) -> bool:
    place, turn = world.pose(peg)
    upright = 1 - 2 * (turn[1] ** 2 + turn[2] ** 2) > 0.97
    offset = place - world.pose(socket)[0]
    return bool(upright and np.abs(offset[:2]).max() < SOCKET_M[0] and offset[2] - PEG_M[2] < DEEP_M)


def _task(colour: str, hole: str) -> Spoken:
    other, beside = rival_colour(colour, 0), rival_colour(hole, 2)
    target, goal = f"{colour}-peg", f"{hole}-socket"
    return Spoken(
        name=f"peg/{target}/{goal}",
        family="peg",
        request=Request(verb="insert", colour=colour, shape="peg", place=goal),
        partners=tuple(f"peg/{c}-peg/{h}-socket" for c, h in ((colour, beside), (other, hole), (other, beside))),
        lay=partial(_lay, (colour, other), (hole, beside)),
        holds=partial(_inserted, target, goal),
        target=target,
        goal=goal,
        also=("arm6",),
    )


TASKS = tuple(_task(colour, hole) for colour, hole in product(COLOURS, COLOURS))
