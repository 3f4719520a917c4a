"""Scripts of experts on Desk that pick things up: put, stack, insert, pour.

The one thing to watch: a carried thing does not hang exactly under the tool, so places are aimed at with the thing and
not with the tool.
"""

from __future__ import annotations

import numpy as np

from embodia.envs.desk.tasks._table import heading
from embodia.envs.desk.tasks.pour import balls_of
from embodia.envs.desk.world import World
from embodia.generate.experts._angles import wrapped
from embodia.generate.experts._desk_hand import Floats, Hand, Where, fixed, grasp, move, release, spoken, travel
from embodia.generate.experts._desk_motion import Actions
from embodia.generate.experts._desk_push import inward

CARRY_M = 0.14
_HALF_BIN_M = 0.035
_LEAN_RAD, _TIP_RAD, _FLAT_RAD, _POUR_STEPS = 1.0, 2.5, np.pi / 10, 45
_SHAKE_M = np.array([0.012, 0.0, 0.012])
_LIP_M, _POUR_M = 0.035, 0.125


def carry(
    hand: Hand, name: str, where: Where, yaw: float | None = None, *, near_m: float = 0.01, to: str = ""
) -> Actions:
    """Bring a held thing to a place, which may have a name, high until it is over it."""
    hand.say(f"carry {spoken(name)} {'over {}' if to else 'away'}", to)
    yield from travel(hand, _hung(hand, name, where, CARRY_M), yaw, near_m=0.03)
    hand.say("lower {}", name)
    yield from move(hand, _hung(hand, name, where, 0.0), yaw, near_m=near_m, limit=25)


def _hung(hand: Hand, name: str, where: Where, high: float) -> Where:
    """Where the tool must be so that the thing is at `where`, or `high` over the table above it."""

    def found() -> Floats:
        target = where().copy()
        offset = hand.at - hand.world.pose(name)[0]
        if high:
            target[2] = max(high, target[2] + 0.05)
        return target + offset

    return found


def put(hand: Hand, name: str, goal: str, height: float, *, tries: int = 3) -> Actions:
    """Pick a thing up and let it go `height` over the foot of a place, or over a thing's centre."""
    world = hand.world
    for _ in range(tries):
        yield from grasp(hand, name)
        if not world.holding(name, hand.arm):
            continue
        yield from carry(hand, name, lambda: world.pose(goal)[0] + np.array([0.0, 0.0, height]), to=goal)
        yield from release(hand)
        if _settled_over(world, name, goal):
            return


def put_in_bin(hand: Hand, name: str, goal: str) -> Actions:
    """Pick a thing up and let it go over the half of a bin that is farther from the things that lie in it."""
    world = hand.world
    yield from grasp(hand, name)
    if not world.holding(name, hand.arm):
        return
    foot = world.pose(goal)[0]
    halves = [foot + np.array([0.0, side * _HALF_BIN_M, 0.065]) for side in (1.0, -1.0)]
    others = [world.pose(item.name)[0] for item in world.scene.things if item.name != name]
    free = max(halves, key=lambda half: min(float(np.linalg.norm((half - other)[:2])) for other in others))
    yield from carry(hand, name, fixed(free), near_m=0.012, to=goal)
    yield from release(hand)


def _settled_over(world: World, name: str, goal: str) -> bool:
    return bool(np.linalg.norm((world.pose(name)[0] - world.pose(goal)[0])[:2]) < 0.045)


def put_in_drawer(hand: Hand, name: str, drawer: str, *, tries: int = 3) -> Actions:
    """Pick a thing up and drop it into the open part of a drawer."""
    world = hand.world
    for _ in range(tries):
        yield from grasp(hand, name)
        if not world.holding(name, hand.arm):
            continue
        over = lambda: opening(world, drawer) + np.array([0.0, 0.0, 0.09])  # noqa: E731
        yield from carry(hand, name, over, near_m=0.015, to=drawer)
        yield from release(hand, up_m=0.05)
        if float(np.linalg.norm((world.pose(name)[0] - opening(world, drawer))[:2])) < 0.06:
            return


def opening(world: World, drawer: str) -> Floats:
    """The middle of the part of a drawer that is out of its cabinet, on the floor of the drawer."""
    fixture = next(item for item in world.scene.fixtures if item.name == drawer)
    depth = fixture.size_m[1]
    return world.pose(drawer)[0] - (depth + 0.5 * world.joint(drawer)) * inward(world, drawer)


def insert(hand: Hand, peg: str, socket: str, *, tries: int = 3) -> Actions:
    """Pick a peg up near its top, turn it to the hole, and push it down."""
    world = hand.world
    half = next(item.size_m[2] for item in world.scene.things if item.name == peg)
    deep = np.array([0.0, 0.0, half])
    for _ in range(tries):
        yield from grasp(hand, peg, down_m=0.5 * half)
        if not world.holding(peg, hand.arm):
            continue
        turn = _matching_yaw(hand, peg, socket)
        over = lambda: world.pose(socket)[0] + 2.1 * deep  # noqa: E731
        hand.say(f"carry {spoken(peg)} over {{}}", socket)
        yield from travel(hand, _hung(hand, peg, over, 0.15), turn, near_m=0.02)
        yield from move(hand, _hung(hand, peg, over, 0.0), turn, near_m=0.003, limit=25)
        hand.say(f"push {spoken(peg)} into {{}}", socket)
        yield from move(hand, _hung(hand, peg, lambda: world.pose(socket)[0] + deep, 0.0), turn, near_m=0.006, limit=20)
        yield from release(hand, up_m=0.08)
        if world.pose(peg)[0][2] < half + 0.012 and _settled_over(world, peg, socket):
            return


def _matching_yaw(hand: Hand, peg: str, socket: str) -> float:
    """The heading of the hand, nearest to now, at which the sides of a held peg are parallel to those of a hole."""
    return wrapped(hand.yaw + wrapped(heading(hand.world, socket) - heading(hand.world, peg), np.pi / 2))


def pour(hand: Hand, cup: str, bowl: str, *, tries: int = 3) -> Actions:
    """Take a cup with the hand leaning back, tip it forwards over the rim of a bowl, set it down where it was.

    The hand leans so that the palm is never before the mouth of the cup; the pads meet two flat sides of it.
    """
    world = hand.world
    start = world.pose(cup)[0]
    for _ in range(tries):
        hand.tilt = _LEAN_RAD
        yield from grasp(hand, cup, down_m=0.008, yaw=_FLAT_RAD)
        if not world.holding(cup, hand.arm):
            continue
        over = world.pose(bowl)[0] + np.array([-_LIP_M * np.cos(hand.yaw), -_LIP_M * np.sin(hand.yaw), 0.0])
        hand.say(f"carry {spoken(cup)} over {{}}", bowl)
        yield from travel(hand, fixed(over + np.array([0.0, 0.0, 0.17])), _FLAT_RAD, near_m=0.03)
        yield from move(hand, fixed(over + np.array([0.0, 0.0, _POUR_M])), _FLAT_RAD, near_m=0.015, limit=20)
        hold = hand.at
        hand.say(f"tip {spoken(cup)} over {{}}", bowl)
        for step in range(_POUR_STEPS):
            hand.tilt = max(_LEAN_RAD - _TIP_RAD, _LEAN_RAD - 0.1 * (step + 1))
            yield hand.toward(hold + _SHAKE_M * np.sin(2.0 * step) * (step > 26), _FLAT_RAD)
            if _empty(world, cup):
                break
        hand.tilt = _LEAN_RAD
        hand.say("turn {} upright", cup)
        for _ in range(14):
            yield hand.toward(hold, _FLAT_RAD)
        yield from carry(hand, cup, fixed(start + np.array([0.0, 0.0, 0.004])), _FLAT_RAD)
        yield from release(hand)


def _empty(world: World, cup: str) -> bool:
    place = world.pose(cup)[0]
    return all(float(np.linalg.norm(world.pose(ball)[0] - place)) > 0.05 for ball in balls_of(cup))
