"""Two arms, one bar: one arm takes it, gives it to the other in the air, which lays it in a bin that only it reaches.

Two bars lie on one side and two bins stand on the other; the sentence names one of each, and which side is which is
drawn anew. The one thing to watch: a bar that fell on the table after it was given has to be given again.
"""

from __future__ import annotations

from functools import partial
from itertools import product

import numpy as np

from embodia.envs.desk.grammar import COLOURS, Request
from embodia.envs.desk.scenes import Fixture, Scene, Thing
from embodia.envs.desk.tasks import Memory
from embodia.envs.desk.tasks._spoken import Spoken
from embodia.envs.desk.tasks._table import in_frame_of, rival_colour
from embodia.envs.desk.world import World

BAR_M, BIN_M = (0.014, 0.08, 0.014), (0.105, 0.055, 0.02)
AIR_M = 0.08
"""How high a bar has to be when both hands hold it."""
_WALL_M, _LYING_M = 0.008, 0.035
_ROWS_M, _SHIFT_M, _TURN_RAD = (-0.12, 0.06), 0.02, 0.35
_BARS_Y_M, _BINS_Y_M = (0.31, 0.35), (0.335, 0.35)


def _bar(colour: str, at: tuple[float, float], rng: np.random.Generator) -> Thing:
    return Thing(
        name=f"{colour}-bar",
        size_m=BAR_M,
        rgba=COLOURS[colour],
        position_m=(*at, BAR_M[2]),
        yaw_rad=float(rng.uniform(-_TURN_RAD, _TURN_RAD)),
    )


def _bin(colour: str, at: tuple[float, float], rng: np.random.Generator) -> Fixture:
    return Fixture(kind="bin", name=f"{colour}-bin", size_m=BIN_M, position_m=(*at, 0.0), rgba=COLOURS[colour])


def _row(
    side: float, y_m: tuple[float, float], rng: np.random.Generator
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Two places in front of one arm, which of them is nearer to the robot left open."""
    order = rng.permutation(2)
    near, far = ((_ROWS_M[i] + float(rng.uniform(-_SHIFT_M, _SHIFT_M)), side * float(rng.uniform(*y_m))) for i in order)
    return near, far


def _lay(bars: tuple[str, str], bins: tuple[str, str], rng: np.random.Generator) -> Scene:
    side = float(rng.choice([-1.0, 1.0]))
    starts, ends = _row(side, _BARS_Y_M, rng), _row(-side, _BINS_Y_M, rng)
    return Scene(
        body="bimanual",
        things=tuple(_bar(colour, at, rng) for colour, at in zip(sorted(bars), starts, strict=True)),
        fixtures=tuple(_bin(colour, at, rng) for colour, at in zip(sorted(bins), ends, strict=True)),
    )


def lying_in(world: World, bar: str, place: str) -> bool:
    """Whether a bar rests in a bin and no hand touches it."""
    low = bool(in_frame_of(world, bar, place)[2] < _LYING_M)
    return low and _over(world, bar, place) and not any(world.touching(bar, hand) for hand in ("hand", "hand1"))


def _over(world: World, bar: str, place: str) -> bool:
    x, y, _ = np.abs(in_frame_of(world, bar, place))
    return bool(x < BIN_M[1] - _WALL_M and y < BIN_M[0] - _WALL_M)


def not_given(world: World) -> Memory:
    """No bar was given so far."""
    return {"given": False}


def handed_over(bar: str, place: str, world: World, memory: Memory) -> bool:
    """Whether a bar lies in a bin, after both hands had it in the air and without having fallen since."""
    if world.holding(bar, 0) and world.holding(bar, 1) and world.pose(bar)[0][2] > AIR_M:
        memory["given"] = True
    elif world.touching(bar, "table") and not _over(world, bar, place):
        memory["given"] = False
    return bool(memory["given"] and lying_in(world, bar, place))


def _task(colour: str, goal: str) -> Spoken:
    other, beside = rival_colour(colour, 1), rival_colour(goal, 2)
    target, place = f"{colour}-bar", f"{goal}-bin"
    return Spoken(
        name=f"handover/{target}/{place}",
        family="handover",
        request=Request(verb="hand-over", colour=colour, shape="bar", place=place),
        partners=tuple(f"handover/{c}-bar/{g}-bin" for c, g in ((other, goal), (colour, beside), (other, beside))),
        lay=partial(_lay, (colour, other), (goal, beside)),
        holds=partial(handed_over, target, place),
        remember=not_given,
        target=target,
        goal=place,
        body="bimanual",
    )


TASKS = tuple(_task(colour, goal) for colour, goal in product(COLOURS, COLOURS))
