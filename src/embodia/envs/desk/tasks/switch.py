"""Two switches in two colours, both upright: turn one on (away from the robot) or off (towards it)."""

from __future__ import annotations

from functools import partial
from itertools import product

import numpy as np

from embodia.envs.desk.grammar import COLOURS, Request
from embodia.envs.desk.scenes import Fixture, Scene
from embodia.envs.desk.tasks import Memory
from embodia.envs.desk.tasks._spoken import Spoken
from embodia.envs.desk.tasks._table import Table, rival_colour
from embodia.envs.desk.world import World

SIZE_M = (0.025, 0.03, 0.06)
TURNED_RAD = 0.4
_UPRIGHT_RAD, _TURN_RAD, _RADIUS_M = 0.12, 0.3, 0.09
_X_M, _Y_M = (-0.12, 0.12), (-0.22, 0.22)


def switch(colour: str, at: tuple[float, float], yaw: float, start: float) -> Fixture:
    """A switch called "red-switch"; on is along its own x."""
    name = f"{colour}-switch"
    return Fixture(
        kind="switch", name=name, size_m=SIZE_M, position_m=(*at, 0.0), yaw_rad=yaw, rgba=COLOURS[colour], start=start
    )


def _lay(colours: tuple[str, str], rng: np.random.Generator) -> Scene:
    table = Table(rng)
    return Scene(
        fixtures=tuple(
            switch(
                colour,
                table.spot(_RADIUS_M, _X_M, _Y_M),
                float(rng.uniform(-_TURN_RAD, _TURN_RAD)),
                float(rng.uniform(-_UPRIGHT_RAD, _UPRIGHT_RAD)),
            )
            for colour in sorted(colours)
        )
    )


def turned(target: str, sign: float, world: World, memory: Memory) -> bool:
    """Whether a switch is on (`sign` 1) or off (-1)."""
    return sign * world.joint(target) > TURNED_RAD


def _task(way: str, colour: str) -> Spoken:
    other = rival_colour(colour, 2)
    names = [f"switch/{to}/{which}" for which in (other, colour) for to in (way, "on", "off")]
    return Spoken(
        name=f"switch/{way}/{colour}",
        family="switch",
        request=Request(verb=f"turn-{way}", colour=colour, shape="switch"),
        partners=tuple(dict.fromkeys(name for name in names if name != f"switch/{way}/{colour}")),
        lay=partial(_lay, (colour, other)),
        holds=partial(turned, f"{colour}-switch", 1.0 if way == "on" else -1.0),
        target=f"{colour}-switch",
        also=("arm6",),
    )


TASKS = tuple(_task(way, colour) for way, colour in product(("on", "off"), COLOURS))
