"""A mug into LIBERO's microwave by its handle, and the microwave's door shut.

The oven is open to one side only, so the hand comes level, holding the mug by its handle. The one thing to watch: the
handle has to face the opening, as it does where the benchmark puts the mug.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from embodia.generate.experts._libero_boxes import Floats
from embodia.generate.experts._libero_fixtures import nearer_half
from embodia.generate.experts._libero_hand import (
    OPEN,
    SHUT,
    Actions,
    Hand,
    downward,
    pointing,
    reach,
    rise,
    squeeze,
    travel,
)
from embodia.generate.experts._libero_world import World

_UP = np.array([0.0, 0.0, 1.0])
_DIP = 0.3
_BAR_M = 0.012
_FLOOR_M = 0.944 - 0.92
"""The oven's floor above its origin."""
_ABOVE_M = 0.032
"""How far above that floor a mug is carried in, however it hangs."""
_LEVER_M = 0.2
"""How far from its hinge the door is pushed."""


def put_in(hand: Hand, mug: str, oven: str, region: str) -> Actions:
    """Take a mug by its handle, bring it in through the opening, set it down and withdraw."""
    world = hand.world
    inwards = opening_direction(world, oven)
    side = np.cross(inwards, _UP)
    hand.grip = OPEN
    hand.attitude = nearer_half(pointing(inwards * np.cos(_DIP) - _UP * np.sin(_DIP), side), world.attitude)
    away = handle_of(world, mug) - 0.1 * inwards + 0.05 * _UP
    yield from travel(hand, lambda: away)
    yield from reach(hand, lambda: away, near_m=0.02, near_rad=0.15)
    yield from reach(hand, lambda: handle_of(world, mug), near_m=0.007, near_rad=0.15, limit=40, speed=0.6)
    yield from squeeze(hand, SHUT)
    sill = world.place(oven)[2] + _FLOOR_M + _ABOVE_M
    yield from rise(hand, sill - _bottom(world, mug))
    if not world.held(mug):
        return
    inside = world.place(region) + 0.012 * inwards
    height = world.hand[2] + max(0.0, sill - _bottom(world, mug))
    before = inside - 0.28 * inwards
    yield from reach(hand, lambda: _moved(world, mug, before, height), near_m=0.02, limit=50)
    yield from reach(hand, lambda: _moved(world, mug, inside, height), near_m=0.008, limit=60, speed=0.7)
    low = world.hand - np.array([0.0, 0.0, 0.03])
    yield from reach(hand, lambda: low, near_m=0.006, limit=15, speed=0.3)
    yield from squeeze(hand, OPEN)
    back = world.hand - 0.2 * inwards
    yield from reach(hand, lambda: back, near_m=0.03, near_rad=9.0, limit=30)
    hand.attitude = hand.home[1]
    yield from rise(hand, 0.12)


def shut_door(hand: Hand, oven: str, done: Callable[[], bool]) -> Actions:
    """Sweep the open door shut from outside until `done`."""
    world = hand.world
    joint = world.joint(f"{oven}_microjoint")
    hand.grip = SHUT
    hand.attitude = _along_door(world, oven, joint)
    start = _on_door(world, oven, joint, -0.13)
    yield from travel(hand, lambda: start)
    yield from reach(hand, lambda: start, near_m=0.02, limit=40)
    for _ in range(110):
        if done():
            break
        hand.attitude = _along_door(world, oven, joint)
        yield hand.toward(_on_door(world, oven, joint, 0.04), 0.8)
    away = _on_door(world, oven, joint, -0.13)
    yield from reach(hand, lambda: away, near_m=0.03, near_rad=9.0, limit=20)


def opening_direction(world: World, oven: str) -> Floats:
    """The level direction (3,) that leads into an oven: from its hinge side's front to its back."""
    found: Floats = world.axes(oven)[:, 1]
    return found


def handle_of(world: World, mug: str) -> Floats:
    """The middle of the upright bar of a mug's handle (3,)."""
    points, middle = world.points(mug), world.place(mug)
    aside = np.linalg.norm(points[:, :2] - middle[:2], axis=1)
    bar = points[aside > aside.max() - _BAR_M]
    found: Floats = (bar.min(axis=0) + bar.max(axis=0)) / 2
    return found


def _bottom(world: World, mug: str) -> float:
    return float(world.points(mug)[:, 2].min())


def _moved(world: World, mug: str, spot: Floats, height: float) -> Floats:
    moved = world.hand + spot - world.place(mug)
    return np.array([moved[0], moved[1], height])


def _panel(world: World, oven: str, joint: int) -> tuple[Floats, Floats, Floats]:
    """Hinge, level direction along the door away from it, and the direction in which the door closes."""
    hinge = np.array(world.data.xanchor[joint])
    points = world.points(oven, f"{oven}_microdoorroot")
    along = (points.min(axis=0) + points.max(axis=0)) / 2 - hinge
    along = np.array([along[0], along[1], 0.0]) / np.linalg.norm(along[:2])
    return hinge, along, np.cross(np.array(world.data.xaxis[joint]), along)


def _on_door(world: World, oven: str, joint: int, beyond_m: float) -> Floats:
    hinge, along, closing = _panel(world, oven, joint)
    found: Floats = hinge + _LEVER_M * along + beyond_m * closing + 0.03 * _UP
    return found


def _along_door(world: World, oven: str, joint: int) -> Floats:
    _, along, _ = _panel(world, oven, joint)
    return downward(float(np.arctan2(along[1], along[0])), world.attitude)
