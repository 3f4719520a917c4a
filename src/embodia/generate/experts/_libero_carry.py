"""Picking a thing up and putting it down in, on or beside another, in LIBERO.

Where the hand closes comes from height maps of the scene; how far down it goes with its load too. The one thing to
watch: a load is steered by where it is, not by where the hand is, so a load that slips a little still arrives.
"""

from __future__ import annotations

import numpy as np

from embodia.generate.experts._angles import wrapped
from embodia.generate.experts._libero_boxes import Floats, heights
from embodia.generate.experts._libero_fixtures import about_up, outwards
from embodia.generate.experts._libero_grasp import TIP_BELOW_M, Grasp, best_grasp, hand_points
from embodia.generate.experts._libero_hand import (
    OPEN,
    SHUT,
    Actions,
    Hand,
    downward,
    opening_yaw,
    reach,
    rise,
    squeeze,
    stay,
    travel,
)
from embodia.generate.experts._libero_plan import Chore, drawer_of

_SHARE = 1.13
"""How far apart two things stand that share a region, in half lengths of it."""
_SLOTTED = "desk_caddy"
_BELOW_SLOT_M = 0.005
"""How far below a slot's region an origin may come; the benchmark allows twice that."""
_WATCH = 8
_HOVER_M = 0.05
_DROP_M = 0.006


def pick(hand: Hand, name: str) -> Actions:
    """Grasp a thing from above and lift it a little; ends with an open hand if it cannot be held."""
    grasp = find_grasp(hand, name)
    if grasp is None:
        yield from stay(hand, 10)
        return
    offset = grasp.place - hand.world.place(name)
    hand.grip, hand.attitude = OPEN, downward(grasp.yaw, hand.world.attitude)

    def at(height: float) -> Floats:
        return hand.world.place(name) + offset + np.array([0.0, 0.0, height])

    yield from travel(hand, lambda: at(_HOVER_M), ignored=(name,))
    yield from reach(hand, lambda: at(0.0), near_m=0.006, near_rad=0.08, limit=40)
    yield from squeeze(hand, SHUT)
    yield from rise(hand, _HOVER_M)


def find_grasp(hand: Hand, name: str) -> Grasp | None:
    """Where to grasp a thing as it stands now."""
    world = hand.world
    body = world.bodies[name]
    heavy_at = np.array(world.data.xipos[body])
    return best_grasp(world.points(name), world.others(name), yaw_now=opening_yaw(world.attitude), heavy_at=heavy_at)


def is_held(hand: Hand, name: str) -> bool:
    """Whether the hand is shut and both its fingers touch the thing."""
    return hand.grip == SHUT and hand.world.held(name)


def place(hand: Hand, name: str, spot: Floats, *, deepest: float = -np.inf) -> Actions:
    """Carry what is held so that its origin comes to be over `spot` (3,), put it down and let go.

    It is lowered until it or the hand would touch something, but its origin not below `deepest`.
    """
    world = hand.world
    hanging = float(world.hand[2] - world.points(name)[:, 2].min())

    def over(height: float) -> Floats:
        moved = world.hand + spot - world.place(name)
        return np.array([moved[0], moved[1], height])

    yield from travel(hand, lambda: over(-np.inf), hanging=max(hanging, TIP_BELOW_M), ignored=(name,))
    if not is_held(hand, name):
        return
    low = landing_height(hand, name, spot)
    low = max(low, deepest + world.hand[2] - world.place(name)[2])
    yield from reach(hand, lambda: over(low + _DROP_M), near_m=0.007, limit=45)
    yield from stay(hand, _WATCH if deepest > -np.inf else 0)
    yield from squeeze(hand, OPEN)
    yield from rise(hand, 0.1)


def put(hand: Hand, chore: Chore) -> Actions:
    """Put what is held where a chore wants it: in a slot, in a drawer, in its share of a region, or in the middle."""
    world = hand.world
    if not chore.goal.startswith(_SLOTTED):
        yield from place(hand, chore.name, spot_for(hand, chore))
        return
    middle, points = world.place(chore.goal), world.points(chore.name)
    turn = fitting_turn(points, slot_yaw(world.axes(chore.goal), world.extent(chore.goal)))
    hand.attitude = about_up(turn) @ hand.attitude
    off = about_up(turn) @ (world.place(chore.name) - (points.min(axis=0) + points.max(axis=0)) / 2)
    spot = middle + np.array([off[0], off[1], 0.0])
    lowest = middle[2] - _height(world.axes(chore.goal), world.extent(chore.goal)) - _BELOW_SLOT_M
    yield from place(hand, chore.name, spot, deepest=lowest)


def spot_for(hand: Hand, chore: Chore) -> Floats:
    """Where the origin of what is held should come to be (3,): in the goal, apart from what shares it."""
    world = hand.world
    middle = world.place(chore.goal)
    if drawer_of(chore.goal):
        out = outwards(world, chore.goal)
        spots = [middle + step * out for step in (0.0, 0.01, 0.02, 0.03, 0.04)]
        return min(spots, key=lambda spot: round(landing_height(hand, chore.name, spot), 3))
    if chore.parts > 1:
        along, room = world.axes(chore.goal)[:, 0], world.extent(chore.goal)[0]
        aside = along * _SHARE * room * (chore.part - (chore.parts - 1) / 2)
        return middle + np.array([aside[0], aside[1], 0.0])
    return middle


def slot_yaw(axes: Floats, extent: Floats) -> float:
    """Direction about the vertical of the longer level side of a region."""
    level = [index for index in range(3) if abs(axes[2, index]) < 0.7]
    longest = axes[:, max(level, key=lambda index: extent[index])]
    return float(np.arctan2(longest[1], longest[0]))


def fitting_turn(points: Floats, yaw: float) -> float:
    """The smallest turn about the vertical after which the longer level side of points (P 3) lies along `yaw`."""
    flat = points[:, :2] - points[:, :2].mean(axis=0)
    longest = np.linalg.eigh(flat.T @ flat)[1][:, -1]
    return wrapped(yaw - np.arctan2(longest[1], longest[0]), np.pi)


def _height(axes: Floats, extent: Floats) -> float:
    return float(np.abs(axes[2]) @ extent)


def landing_height(hand: Hand, name: str, spot: Floats) -> float:
    """Height of the hand at which it, or the load under it, rests on what is under `spot`."""
    world = hand.world
    shift = np.array([*(spot - world.place(name))[:2], 0.0])
    centre = np.array([*spot[:2], 0.0])
    surface = heights(np.concatenate([world.others(name), _ground(world.floor(), spot)]) - centre, 0.3)
    palm = hand_points() @ _flat(hand.world.attitude).T + world.hand
    moving = np.concatenate([world.points(name), palm]) + shift - centre
    return float(world.hand[2] + surface.landing(moving))


def _flat(attitude: Floats) -> Floats:
    yaw = opening_yaw(attitude)
    return np.array([[np.cos(yaw), -np.sin(yaw), 0.0], [np.sin(yaw), np.cos(yaw), 0.0], [0.0, 0.0, 1.0]])


def _ground(height: float, spot: Floats) -> Floats:
    line = np.arange(-0.3, 0.3, 0.004) + 0.002
    flat = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2) + spot[:2]
    return np.concatenate([flat, np.full((len(flat), 1), height)], axis=1)
