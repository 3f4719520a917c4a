"""Scripts of experts on Desk that move things without lifting them: strokes, presses, levers, drawers.

The one thing to watch: a stroke steers by where the thing is now; when it has slipped past the hand the stroke is begun
again from behind it.
"""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import numpy.typing as npt

from embodia.envs.desk._phrases import PLACES
from embodia.envs.desk.tasks.button import HELD_STEPS
from embodia.envs.desk.tasks.push import SIDES
from embodia.envs.desk.world import World
from embodia.generate.experts._angles import wrapped
from embodia.generate.experts._desk_hand import CLOSED, Floats, Hand, fixed, move, rise, squeeze, travel, wait
from embodia.generate.experts._desk_motion import Actions

_LOW_M = 0.016
_HANDLE_M = 0.026
"""From a drawer's front to the middle of its handle."""
_BESIDE_M, _AJAR_M = 0.019, 0.02
"""Where a handle is taken, from its middle, so that no pad meets the stem; how wide the pads are open before."""
_BEHIND_M = 0.062
_LOST_M = 0.03


def press(hand: Hand, button: str, manner: str = "") -> Actions:
    """Down onto a button with closed fingers: slowly and only as far as needed, or as hard as the arm can."""
    world = hand.world
    hand.closed = CLOSED
    top = world.part(button)[0] + np.array([0.0, 0.0, 0.03])
    hand.say("move above {}", button)
    yield from travel(hand, fixed(top + np.array([0.0, 0.0, 0.03])), near_m=0.02)
    yield from move(hand, fixed(top), near_m=0.015, limit=10)
    hand.say(f"press {{}} {manner}".rstrip(), button)
    for _ in range(30):
        down = fixed(world.part(button)[0] - np.array([0.0, 0.0, 0.02 if manner != "hard" else 0.1]))
        yield hand.toward(down(), speed={"gently": 0.12, "hard": 1.0}.get(manner, 0.5))
        if world.joint(button) > 0.85 and manner != "hard":
            break
    yield from wait(hand, HELD_STEPS + 1 if manner == "gently" else 2)
    hand.say("move up")
    yield from rise(hand, 0.12)


def stroke_side(hand: Hand, name: str, side: str, far_m: float = 0.1) -> Actions:
    """Push a thing a distance to a side of the table."""
    start = hand.world.pose(name)[0]
    goal = start + far_m * np.array([*SIDES[side], 0.0])
    yield from stroke(hand, name, goal, near_m=0.012, past=True, way=PLACES[side])


def stroke(
    hand: Hand, name: str, goal: Floats, *, near_m: float, past: bool = False, tries: int = 4, way: str = "to its place"
) -> Actions:
    """Push a thing straight to a point on the table, or with `past` until it has gone as far as that point.

    `way` says in words where that is.
    """
    for _ in range(tries):
        hand.closed = CLOSED
        line = _line(hand.world, name, goal)
        if float(np.linalg.norm(goal[:2] - hand.world.pose(name)[0][:2])) < near_m:
            break
        hand.say("move beside {}", name)
        if hand.at[2] < _LOW_M + 0.05:
            yield from rise(hand, _LOW_M + 0.07)
        behind = hand.world.pose(name)[0] - _BEHIND_M * line
        behind[2] = _LOW_M
        yaw = _flat(hand, line)
        yield from travel(hand, fixed(behind + np.array([0.0, 0.0, 0.06])), yaw, near_m=0.025)
        hand.say("go down beside {}", name)
        yield from move(hand, fixed(behind), yaw, near_m=0.012, limit=15)
        hand.say(f"push {{}} {way}", name)
        if (yield from _follow(hand, name, goal, near_m, line if past else None, yaw)):
            break
    hand.say("move up")
    yield from rise(hand, 0.1)


def _follow(
    hand: Hand, name: str, goal: Floats, near_m: float, fixed_line: Floats | None, yaw: float
) -> Generator[npt.NDArray[np.float32], None, bool]:
    """Push while the thing stays in front of the hand; whether it arrived."""
    for _ in range(40):
        place = hand.world.pose(name)[0]
        left = goal - place
        left[2] = 0.0
        line = _line(hand.world, name, goal) if fixed_line is None else fixed_line
        if float(left @ line) < near_m:
            return True
        offset = hand.at - place
        aside = offset - float(offset @ line) * line
        aside[2] = 0.0
        if float(np.linalg.norm(aside)) > _LOST_M or float(offset @ line) > 0.01:
            return False
        target = hand.at + min(0.06, 0.03 + float(left @ line)) * line - 2.0 * aside
        target[2] = _LOW_M
        yield hand.toward(target, yaw, speed=0.7)
    return False


def _flat(hand: Hand, line: Floats) -> float:
    """The heading nearest to now at which a flat side of the closed pads pushes along a line."""
    quarter = np.pi / 2
    off = float(np.arctan2(line[1], line[0])) - hand.yaw
    return wrapped(hand.yaw + (off + quarter / 2) % quarter - quarter / 2)


def _line(world: World, name: str, goal: Floats) -> Floats:
    line = goal - world.pose(name)[0]
    line[2] = 0.0
    return line / (1e-9 + float(np.linalg.norm(line)))


def pull_drawer(hand: Hand, drawer: str, far_m: float = 0.11) -> Actions:
    """Take the handle between the pads, beside its stem, and pull the drawer out."""
    world = hand.world
    hand.closed = 1.0 - _AJAR_M / world.arms[hand.arm].arm.gripper.opening_m
    shut_way = inward(world, drawer)
    beside = _BESIDE_M * np.array([-shut_way[1], shut_way[0], 0.0])
    yaw = float(np.arctan2(shut_way[1], shut_way[0]))
    turn = yaw + np.pi / 2 if hand.yaw >= yaw else yaw - np.pi / 2

    def grip() -> Floats:
        return handle(world, drawer) + beside

    hand.say("move above the handle of {}", drawer)
    yield from travel(hand, fixed(grip() + np.array([0.0, 0.0, 0.07])), turn, near_m=0.008)
    hand.say("go down to the handle of {}", drawer)
    yield from move(hand, grip, turn, near_m=0.006, limit=20)
    hand.say("grasp the handle of {}", drawer)
    yield from squeeze(hand, CLOSED)
    hand.say("pull {} open", drawer)
    for _ in range(40):
        if world.joint(drawer) > far_m - 0.008:
            break
        yield hand.toward(grip() - 0.05 * shut_way, turn, speed=0.8)
    hand.say("let go and move up")
    yield from squeeze(hand, 0.6, least=2)
    yield from rise(hand, 0.14)


def push_drawer(hand: Hand, drawer: str) -> Actions:
    """Push the handle in with closed fingers."""
    world = hand.world
    hand.closed = CLOSED
    shut_way = inward(world, drawer)
    front = handle(world, drawer) - 0.05 * shut_way
    hand.say("move before the handle of {}", drawer)
    yield from travel(hand, fixed(front + np.array([0.0, 0.0, 0.05])), near_m=0.02)
    yield from move(hand, fixed(front), near_m=0.015, limit=20)
    hand.say("push {} shut", drawer)
    for _ in range(40):
        if world.joint(drawer) < 0.004:
            break
        yield hand.toward(handle(world, drawer) + 0.05 * shut_way, speed=0.8)
    yield from wait(hand, 2)
    back = hand.at - 0.04 * shut_way
    hand.say("move back")
    yield from move(hand, fixed(back), near_m=0.02, limit=8)


def handle(world: World, drawer: str) -> Floats:
    """The middle of a drawer's handle."""
    place = world.part(drawer)[0]
    fixture = next(item for item in world.scene.fixtures if item.name == drawer)
    return place - (fixture.size_m[1] + _HANDLE_M) * inward(world, drawer) + np.array([0.0, 0.0, fixture.size_m[2]])


def inward(world: World, name: str) -> Floats:
    """The level direction in which a drawer goes shut, (3,)."""
    w, x, y, z = world.pose(name)[1]
    return np.array([1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 0.0])


def flip(hand: Hand, switch: str, way: float) -> Actions:
    """Push a lever over: `way` +1 along its own x, -1 against it."""
    world = hand.world
    hand.closed = CLOSED
    along = way * inward(world, switch)
    foot = world.pose(switch)[0] + np.array([0.0, 0.0, 0.024])
    fixture = next(item for item in world.scene.fixtures if item.name == switch)
    height = np.array([0.0, 0.0, 0.8 * fixture.size_m[2]])
    start = foot + height - 0.065 * along
    hand.say("move beside the lever of {}", switch)
    yield from travel(hand, fixed(start + np.array([0.0, 0.0, 0.05])), near_m=0.02)
    yield from move(hand, fixed(start), near_m=0.012, limit=15)
    hand.say("push the lever of {} over", switch)
    for _ in range(30):
        if way * world.joint(switch) > 0.5:
            break
        yield hand.toward(foot + height + 0.08 * along, speed=0.7)
    hand.say("move up")
    yield from rise(hand, 0.16)
