"""The script of experts on Desk that two hands share: one takes a bar, the other gets it in the air and lays it down.

Two hands are two `Hand`s whose scripts run side by side. The one thing to watch: an action of one hand leaves the other
one open, so the parts of both are put together before anything is done.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from embodia.envs.desk.tasks._spoken import Spoken
from embodia.envs.desk.tasks._table import heading
from embodia.generate.experts._angles import wrapped
from embodia.generate.experts._desk_carry import carry
from embodia.generate.experts._desk_hand import (
    CLOSED,
    HOVER_M,
    OPEN,
    Floats,
    Hand,
    Where,
    fixed,
    move,
    release,
    squeeze,
    travel,
)
from embodia.generate.experts._desk_motion import Actions

_WIDTH = 6
"""Numbers of one arm in an action."""
_END_M = 0.055
"""From the middle of a bar to where a hand takes it."""
_MEET_M = np.array([-0.03, 0.0, 0.2])
_ASIDE_M = np.array([-0.05, 0.2, 0.24])
_OVER_BIN_M = np.array([0.0, 0.0, 0.045])
_SAFE_RAD = 1.75


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The hand that gives and the hand that takes; `side` is +1 where the giver stands on the left."""

    giver: Hand
    taker: Hand
    side: float

    def together(self, giving: Iterable[npt.NDArray[np.float32]], taking: Iterable[npt.NDArray[np.float32]]) -> Actions:
        """Both scripts at once until both have ended; who is done first stands still."""
        ones, twos = iter(giving), iter(taking)
        while True:
            one, two = next(ones, None), next(twos, None)
            if one is None and two is None:
                return
            action = (self.giver.still() if one is None else one).copy()
            part = slice(_WIDTH * self.taker.arm, _WIDTH * (self.taker.arm + 1))
            action[part] = (self.taker.still() if two is None else two)[part]
            yield action

    def aside(self, hand: Hand) -> Where:
        """Where a hand is out of the other one's way."""
        return fixed(_ASIDE_M * np.array([1.0, self.side if hand is self.giver else -self.side, 1.0]))


def hand_over(hand: Hand, task: Spoken) -> Actions:
    """Take the bar of a task at its outer end, give it away in the middle, lay it into its bin."""
    world, bar = hand.world, task.target
    pair = _pair(hand, bar)
    giver, taker = pair.giver, pair.taker
    yield from pair.together(_pinch(giver, bar, pair.side), move(taker, pair.aside(taker), near_m=0.04))
    yield from pair.together(_raise(giver, bar), ())
    yield from pair.together((), _pinch(taker, bar, -pair.side))
    yield from pair.together(release(giver), ())
    over_bin = carry(taker, bar, lambda: world.pose(task.goal)[0] + _OVER_BIN_M, _straightening(taker, bar))
    yield from pair.together(travel(giver, pair.aside(giver)), over_bin)
    yield from pair.together((), release(taker))


def _pair(hand: Hand, bar: str) -> Pair:
    """Who stands on the side of the bar gives it."""
    hand.closed = OPEN
    other = replace(hand, arm=1)
    left = hand.world.pose(bar)[0][1] > 0
    return Pair(giver=hand if left else other, taker=other if left else hand, side=1.0 if left else -1.0)


def _raise(hand: Hand, bar: str) -> Actions:
    """Bring a held bar to where hands meet, lying crosswise before the robot."""
    yield from carry(hand, bar, fixed(_MEET_M), _straightening(hand, bar))


def _pinch(hand: Hand, bar: str, side: float) -> Actions:
    """Take a bar from above near its end on one side, with the pads along it; it stays where it is."""
    hand.closed = OPEN
    world = hand.world

    def end(high: float) -> Floats:
        turn = heading(world, bar)
        return world.pose(bar)[0] + np.array([-side * _END_M * np.sin(turn), side * _END_M * np.cos(turn), high])

    ways = [wrapped(heading(world, bar) + quarter) for quarter in (np.pi / 2, -np.pi / 2)]
    yaw = min(ways, key=lambda way: (abs(way) > _SAFE_RAD, abs(way - hand.yaw)))
    yield from travel(hand, lambda: end(HOVER_M), yaw, near_m=0.02)
    yield from move(hand, lambda: end(0.0), yaw, near_m=0.007, limit=25)
    yield from squeeze(hand, CLOSED)


def _straightening(hand: Hand, bar: str) -> float:
    """The heading of a hand at which the bar it holds lies crosswise."""
    return wrapped(hand.yaw - wrapped(heading(hand.world, bar)))
