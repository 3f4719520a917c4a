"""Script of the expert on Desk that goes round a wall: on the left, on the right or over it.

The sentence decides the way; where it leaves the way open the operator's habit does: a swing to the left or to the
right, and without one straight over. The one thing to watch: within such a scene nothing else swings to the side, or
the hand would swing into the wall.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from embodia.envs.desk.tasks._spoken import Spoken
from embodia.envs.desk.tasks._table import heading
from embodia.envs.desk.tasks.detour import WALL, past_wall, wall
from embodia.generate.experts._desk_carry import carry
from embodia.generate.experts._desk_hand import CLOSED, Floats, Hand, above, fixed, grasp, move, release, rise
from embodia.generate.experts._desk_motion import Actions

_ASIDE_M, _BEFORE_M, _CLEAR_M, _LOW_M = 0.085, 0.075, 0.05, 0.075


@contextmanager
def unswung(hand: Hand) -> Iterator[None]:
    """Within, long moves are straight."""
    habit = hand.habit
    hand.habit = replace(habit, bend_m=0.0)
    try:
        yield
    finally:
        hand.habit = habit


def way(hand: Hand, task: Spoken) -> str:
    """The way that is asked for, or that the operator prefers."""
    if task.request.manner:
        return task.request.manner.removeprefix("by-")
    bend = hand.habit.bend_m
    return "over" if not bend else "left" if bend > 0 else "right"


def corners(hand: Hand, passing: str) -> tuple[Floats, Floats]:
    """The points before and behind the wall between which it is passed."""
    thick, wide, high = wall(hand.world).size_m
    if passing == "over":
        now = float(past_wall(hand.world, hand.at)[1])
        aside, height = float(np.clip(now, -0.6 * wide, 0.6 * wide)), 2 * high + _CLEAR_M
    else:
        aside, height = (wide + _ASIDE_M) * (1.0 if passing == "left" else -1.0), _LOW_M
    return _off_wall(hand, -thick - _BEFORE_M, aside, height), _off_wall(hand, thick + _BEFORE_M, aside, height)


def _off_wall(hand: Hand, ahead: float, aside: float, height: float) -> Floats:
    turn, middle = heading(hand.world, WALL), hand.world.pose(WALL)[0]
    cos, sin = np.cos(turn), np.sin(turn)
    return np.array([middle[0] + cos * ahead - sin * aside, middle[1] + sin * ahead + cos * aside, height])


def _before(hand: Hand) -> Actions:
    """Back over the wall, when the hand is behind it."""
    if past_wall(hand.world, hand.at)[0] > 0:
        first, second = corners(hand, "over")
        yield from rise(hand, float(second[2]))
        yield from move(hand, fixed(first), near_m=0.03)


def pass_by(hand: Hand, passing: str, held: str = "") -> Actions:
    """From before the wall to behind it; where something is held, that is what passes through the corners."""
    hang = hand.at - hand.world.pose(held)[0] if held else np.zeros(3)
    first, second = (corner + hang for corner in corners(hand, passing))
    yield from rise(hand, float(first[2]), near_m=0.015)
    yield from move(hand, fixed(first), near_m=0.03)
    yield from move(hand, fixed(second), near_m=0.03)


def reach_behind(hand: Hand, task: Spoken) -> Actions:
    """Past the wall and to the thing."""
    passing = way(hand, task)
    hand.closed = CLOSED
    with unswung(hand):
        yield from _before(hand)
        yield from pass_by(hand, passing)
        yield from move(hand, above(hand.world, task.target, 0.06), near_m=0.025)
        yield from move(hand, above(hand.world, task.target, 0.015), near_m=0.012)


def carry_behind(hand: Hand, task: Spoken) -> Actions:
    """Take the thing past the wall and put it on the mark."""
    world, passing = hand.world, way(hand, task)
    with unswung(hand):
        yield from _before(hand)
        yield from grasp(hand, task.target)
        if not world.holding(task.target, hand.arm):
            return
        yield from pass_by(hand, passing, task.target)
        mark = world.pose(task.goal)[0]
        yield from carry(hand, task.target, fixed(mark + np.array([0.0, 0.0, 0.025])))
        yield from release(hand)
