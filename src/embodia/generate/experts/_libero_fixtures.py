"""Drawers that are pulled and pushed, a knob that is turned and a door that is shut, in LIBERO.

Handles are found in the shapes of the fixture, ways of opening in its joints. The one thing to watch: a drawer's handle
is gripped from the front, so the hand leaves the upright for it and takes it up again afterwards.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from embodia.generate.experts._libero_boxes import Floats
from embodia.generate.experts._libero_grasp import best_grasp
from embodia.generate.experts._libero_hand import (
    OPEN,
    SHUT,
    Actions,
    Hand,
    downward,
    opening_yaw,
    pointing,
    reach,
    rise,
    squeeze,
    travel,
)
from embodia.generate.experts._libero_plan import drawer_of
from embodia.generate.experts._libero_world import World

_UP = np.array([0.0, 0.0, 1.0])
_DIP, _PUSH_DIP = 0.35, 0.85
"""How far below the horizontal a hand points that grips a handle from the front, or pushes it, radians."""
_LOW_M = 0.004
"""How far below the middle of a bar it is pushed."""
_ROOM_M, _FAR_M = -0.13, -0.152
"""Where a drawer's joint stands when it is open far enough to put something in, and how far it is pulled for that."""
_BAR_M = 0.018
_KNOB_M = 0.03
_TURN = 0.35


def is_pulled_out(world: World, region: str) -> bool:
    """Whether a drawer is open far enough to put something in."""
    return world.angle(_drawer_joint(world, region)) < _ROOM_M


def pull_drawer(hand: Hand, region: str, done: Callable[[], bool]) -> Actions:
    """Grip a drawer's handle from the front and pull until it is `done` and as good as wide open."""
    world = hand.world
    joint, out, upright = _drawer_joint(world, region), outwards(world, region), hand.home[1]
    front = pointing(-out * np.cos(_DIP) - _UP * np.sin(_DIP), _UP)
    hand.grip, hand.attitude = OPEN, nearer_half(front, world.attitude)
    start = handle(world, region) + 0.12 * out + 0.02 * _UP
    yield from travel(hand, lambda: start)
    yield from reach(hand, lambda: start, near_m=0.02, near_rad=0.15)
    yield from reach(hand, lambda: handle(world, region), near_m=0.008, near_rad=0.2, limit=40, speed=0.6)
    yield from squeeze(hand, SHUT)
    for _ in range(70):
        if done() and world.angle(joint) < _FAR_M:
            break
        yield hand.toward(handle(world, region) + 0.05 * out)
    yield from squeeze(hand, OPEN)
    away = world.hand + 0.09 * out
    yield from reach(hand, lambda: away, near_m=0.02, near_rad=9.0, limit=20)
    hand.attitude = upright
    yield from rise(hand, 0.12)


def push_drawer(hand: Hand, region: str, done: Callable[[], bool]) -> Actions:
    """Push a drawer shut with closed fingers until `done`, leaning back from the handles above."""
    world = hand.world
    out = outwards(world, region)
    hand.grip = SHUT
    leaning = pointing(-out * np.cos(_PUSH_DIP) - _UP * np.sin(_PUSH_DIP), np.cross(_UP, out))
    hand.attitude = nearer_half(leaning, world.attitude)

    def before(distance_m: float) -> Floats:
        return handle(world, region) + distance_m * out - _LOW_M * _UP

    start = before(0.06)
    yield from travel(hand, lambda: start)
    yield from reach(hand, lambda: start, near_m=0.01, near_rad=0.2, limit=50)
    for _ in range(70):
        if done():
            break
        yield hand.toward(before(-0.05), 0.8)
    away = world.hand + 0.08 * out
    yield from reach(hand, lambda: away, near_m=0.02, near_rad=9.0, limit=15)
    hand.attitude = hand.home[1]
    yield from rise(hand, 0.12)


def turn_knob(hand: Hand, stove: str, done: Callable[[], bool]) -> Actions:
    """Grip a stove's knob from above and turn it until `done`."""
    world = hand.world
    joint = world.joint(f"{stove}_button")
    axis = np.array(world.data.xanchor[joint])
    points = world.points(stove, f"{stove}_button")
    blade = points[points[:, 2] > points[:, 2].max() - _KNOB_M]
    others = np.concatenate([world.others(stove), points, world.points(stove, f"{stove}_burner")])
    grasp = best_grasp(blade, others, yaw_now=opening_yaw(world.attitude), heavy_at=np.array([*axis[:2], 0.0]))
    if grasp is None:
        return
    hand.grip, hand.attitude = OPEN, downward(grasp.yaw, world.attitude)
    yield from travel(hand, lambda: grasp.place + 0.05 * _UP)
    yield from reach(hand, lambda: grasp.place, near_m=0.006, near_rad=0.08, limit=40)
    yield from squeeze(hand, SHUT)
    arm = world.hand - np.array([*axis[:2], world.hand[2]])
    before = world.angle(joint)
    for _ in range(60):
        if done():
            break
        hand.attitude = about_up(_TURN) @ world.attitude
        yield hand.toward(np.array([*axis[:2], world.hand[2]]) + about_up(world.angle(joint) - before) @ arm)
    hand.attitude = downward(opening_yaw(world.attitude), world.attitude)
    yield from squeeze(hand, OPEN)
    yield from rise(hand, 0.12)


def handle(world: World, region: str) -> Floats:
    """The middle of the bar that stands out in front of a drawer (3,)."""
    cabinet, level = _drawer(region)
    points, out = world.points(cabinet, f"{cabinet}_cabinet_{level}"), outwards(world, region)
    far = points @ out
    bar = points[far > far.max() - _BAR_M]
    found: Floats = (bar.min(axis=0) + bar.max(axis=0)) / 2
    return found


def outwards(world: World, region: str) -> Floats:
    """The direction in which a drawer opens (3,)."""
    found: Floats = -np.array(world.data.xaxis[_drawer_joint(world, region)])
    return found


def nearer_half(attitude: Floats, now: Floats) -> Floats:
    """The same grip turned by half a turn about where it points, if that is nearer to `now`."""
    other = attitude @ np.diag([-1.0, -1.0, 1.0])
    return other if np.trace(other.T @ now) > np.trace(attitude.T @ now) else attitude


def about_up(angle: float) -> Floats:
    """The rotation (3 3) by an angle about the vertical."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def _drawer(region: str) -> tuple[str, str]:
    found = drawer_of(region)
    assert found is not None
    return found


def _drawer_joint(world: World, region: str) -> int:
    cabinet, level = _drawer(region)
    return world.joint(f"{cabinet}_{level}_level")
