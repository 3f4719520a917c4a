"""Moves of the hand in LIBERO, as generators of actions that look at the scene before each of them.

An action is a step of the hand's set point (three metres-like and three radians-like numbers) and a sign for the
fingers. The one thing to watch: every move ends after a number of steps, arrived or not; whoever asks for it checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from embodia.generate.experts._libero_boxes import Floats
from embodia.generate.experts._libero_world import World

Action: TypeAlias = npt.NDArray[np.float32]
Actions: TypeAlias = Iterator[Action]
Where: TypeAlias = Callable[[], Floats]

OPEN, SHUT = -1.0, 1.0
STEP_M, STEP_RAD = 0.05, 0.5
"""What one unit of an action asks for."""
_MOVE_GAIN, _TURN_GAIN = 2.0, 1.0
_CORRIDOR_M = 0.13
CLEARANCE_M = 0.025


@dataclass
class Hand:
    """The gripper: the attitude that is wanted, whether it shall be shut, and place and attitude at the start."""

    world: World
    attitude: Floats
    home: tuple[Floats, Floats]
    grip: float = OPEN

    def toward(self, place: Floats, speed: float = 1.0) -> Action:
        """One action towards a place (3,) while turning to the wanted attitude; `speed` bounds the displacement."""
        move = _MOVE_GAIN * (place - self.world.hand) / STEP_M
        fastest = float(np.abs(move).max())
        if fastest > speed:
            move *= speed / fastest
        turn = _TURN_GAIN * rotation_between(self.world.attitude, self.attitude) / STEP_RAD
        return np.concatenate([move, np.clip(turn, -1.0, 1.0), [self.grip]]).astype(np.float32)

    def off(self) -> float:
        """How far the hand still has to turn, radians."""
        return float(np.linalg.norm(rotation_between(self.world.attitude, self.attitude)))


def rotation_between(now: Floats, wanted: Floats) -> Floats:
    """The turn (3,), axis times angle in the world's frame, from one attitude (3 3) to another."""
    turn = wanted @ now.T
    cosine = float(np.clip((np.trace(turn) - 1.0) / 2.0, -1.0, 1.0))
    axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
    length = float(np.linalg.norm(axis))
    if length < 1e-9:
        return np.zeros(3) if cosine > 0 else np.pi * np.array([0.0, 0.0, 1.0])
    found: Floats = axis / length * np.arccos(cosine)
    return found


def pointing(outwards: npt.ArrayLike, opening: npt.ArrayLike) -> Floats:
    """The attitude (3 3) of a hand that points `outwards` and opens along `opening`, made perpendicular to it."""
    z = np.asarray(outwards, float) / np.linalg.norm(outwards)
    x = np.asarray(opening, float) - z * float(np.dot(opening, z))
    x = x / np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z], axis=1)


def downward(yaw: float, now: Floats) -> Floats:
    """The attitude of a hand that points down and opens along `yaw`, whichever of the two ways is nearer to `now`."""
    x = np.array([np.cos(yaw), np.sin(yaw), 0.0])
    if float(x @ now[:, 0]) < 0:
        x = -x
    return pointing([0.0, 0.0, -1.0], x)


def opening_yaw(attitude: Floats) -> float:
    """Direction of the opening about the vertical, radians."""
    return float(np.arctan2(attitude[1, 0], attitude[0, 0]))


def reach(
    hand: Hand, where: Where, *, near_m: float = 0.008, near_rad: float = 0.12, limit: int = 60, speed: float = 1.0
) -> Actions:
    """Go straight to a place, which may move, until it is reached or the hand no longer gets nearer."""
    best, stuck = np.inf, 0
    for _ in range(limit):
        place = where()
        left, turn = float(np.linalg.norm(place - hand.world.hand)), hand.off()
        if left < near_m and turn < near_rad:
            return
        stuck = 0 if left + 0.05 * turn < best - 0.0005 else stuck + 1
        best = min(best, left + 0.05 * turn)
        if stuck > 8:
            return
        yield hand.toward(place, speed)


def travel(
    hand: Hand, goal: Where, *, hanging: float = 0.0, ignored: tuple[str, ...] = (), near_m: float = 0.02
) -> Actions:
    """Rise above all that stands between, go across and stop over `goal`; `hanging` is how far a load hangs down."""
    start, end = hand.world.hand, goal()
    height = max(crossing_height(hand.world.others(*ignored), start, end) + hanging + CLEARANCE_M, end[2])
    if start[2] < height - 0.02 and float(np.linalg.norm(end[:2] - start[:2])) > 0.02:
        up = np.array([start[0], start[1], height])
        yield from reach(hand, lambda: up, near_m=0.03, near_rad=9.0)
    yield from reach(hand, lambda: _at_height(goal(), max(height, goal()[2])), near_m=near_m, near_rad=0.25, limit=90)


def crossing_height(points: Floats, start: Floats, end: Floats) -> float:
    """The highest of the points (P 3) near the line from `start` to `end`, seen from above."""
    line = end[:2] - start[:2]
    share = np.clip((points[:, :2] - start[:2]) @ line / max(float(line @ line), 1e-9), 0.0, 1.0)
    aside = np.linalg.norm(points[:, :2] - start[:2] - share[:, None] * line, axis=1)
    return float(points[aside < _CORRIDOR_M, 2].max(initial=-np.inf))


def squeeze(hand: Hand, grip: float, steps: int = 16) -> Actions:
    """Close or open the fingers where the hand is, no longer than they move."""
    hand.grip = grip
    place, before = hand.world.hand, np.inf
    for step in range(steps):
        gap = hand.world.gap
        if step > 5 and abs(gap - before) < 0.0005:
            return
        before = gap
        yield hand.toward(place)


def stay(hand: Hand, steps: int) -> Actions:
    """Hold still."""
    place = hand.world.hand
    for _ in range(steps):
        yield hand.toward(place)


def rise(hand: Hand, height_m: float, *, limit: int = 25) -> Actions:
    """Go straight up."""
    goal = hand.world.hand + np.array([0.0, 0.0, height_m])
    yield from reach(hand, lambda: goal, near_m=0.02, near_rad=9.0, limit=limit)


def go_home(hand: Hand) -> Actions:
    """Back to where the episode began, with the fingers open: a posture from which everything can be reached."""
    hand.grip, (place, hand.attitude) = OPEN, hand.home
    yield from rise(hand, 0.08, limit=10)
    yield from travel(hand, lambda: place, near_m=0.04)


def hand_of(world: World) -> Hand:
    """The hand as it is now."""
    return Hand(world=world, attitude=world.attitude, home=world.home)


def _at_height(place: Floats, height: float) -> Floats:
    return np.array([place[0], place[1], height])
