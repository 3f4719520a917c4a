"""What scripted experts on Desk are made of: closed-loop moves, grasps, strokes and presses, as generators of actions.

A script looks at the world before every action, so that a push or a slip is answered and not replayed. Each action is
one control step (dx dy dz yaw tilt grip), normalised, as the arm's "ee" control takes it. The one thing to watch:
every loop has a limit, so that a script that cannot succeed ends and is begun again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from embodia.envs.desk.tasks._table import heading
from embodia.envs.desk.world import World
from embodia.generate.experts._angles import wrapped
from embodia.generate.experts._desk_motion import Actions, hand_action

Floats: TypeAlias = npt.NDArray[np.float64]
Where: TypeAlias = Callable[[], Floats]

OPEN, CLOSED = 0.0, 1.0
HOVER_M = 0.07
"""How far above a thing the hand stops before it goes down."""


@dataclass(frozen=True, kw_only=True)
class Habit:
    """How an operator moves; all zero is the direct style.

    speed    share of the fastest move
    bend_m   how far long moves swing to the side, left positive
    wander   standard deviation of a smooth disturbance, in action units
    pause    chance of standing still at the end of a move
    """

    speed: float = 1.0
    bend_m: float = 0.0
    wander: float = 0.0
    pause: float = 0.0


@dataclass
class Hand:
    """One gripper in a world, as scripts use it: where it is, and the action that brings it nearer to a place.

    `doing` says in words what the present action is for, `meant` names the thing or place that it is about.
    """

    world: World
    arm: int = 0
    habit: Habit = field(default_factory=Habit)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    closed: float = OPEN
    tilt: float = 0.0
    doing: str = ""
    meant: str = ""

    @property
    def at(self) -> Floats:
        """The tool point (3,), m."""
        return self.world.tool(self.arm)[0]

    @property
    def yaw(self) -> float:
        """Heading of the tool's x axis about the vertical, rad; true while the tool is upright."""
        w, x, y, z = self.world.tool(self.arm)[1]
        return float(np.arctan2(2 * (x * y + w * z), w * w + x * x - y * y - z * z))

    def toward(self, target: Floats, yaw: float | None = None, speed: float = 1.0) -> npt.NDArray[np.float32]:
        """One action along the straight line to `target`, turning to `yaw` (rad) on the way."""
        return hand_action(
            self.world,
            target,
            yaw=self.yaw if yaw is None else yaw,
            tilt=self.tilt,
            closed=self.closed,
            arm=self.arm,
            speed=speed * self.habit.speed,
        )

    def say(self, doing: str, meant: str = "") -> None:
        """Put what comes next in words; {} stands for what is meant."""
        self.doing, self.meant = doing.format(spoken(meant)), meant

    def still(self) -> npt.NDArray[np.float32]:
        """Stay, keeping grip and tilt."""
        return self.toward(self.at)


def spoken(name: str) -> str:
    """The name of a thing as it is said: "the red cube" for red-cube."""
    return f"the {name.replace('-', ' ')}"


def fixed(point: Floats) -> Where:
    """A place that does not move."""
    return lambda: point


def above(world: World, name: str, height: float) -> Where:
    """A place `height` over the centre of a thing, wherever it goes."""
    return lambda: world.pose(name)[0] + np.array([0.0, 0.0, height])


def move(
    hand: Hand, where: Where, yaw: float | None = None, *, near_m: float = 0.008, limit: int = 60, speed: float = 1.0
) -> Actions:
    """Go straight to a place until the tool is within `near_m`."""
    for _ in range(limit):
        target = where()
        turned = yaw is None or abs(wrapped(yaw - hand.yaw)) < 0.15
        if turned and float(np.linalg.norm(target - hand.at)) < near_m:
            break
        yield hand.toward(target, yaw, speed)
    if hand.habit.pause and hand.rng.random() < hand.habit.pause:
        yield from wait(hand, int(hand.rng.integers(2, 7)))


def travel(hand: Hand, where: Where, yaw: float | None = None, *, near_m: float = 0.02, limit: int = 60) -> Actions:
    """A long move; it swings to the side by the operator's habit."""
    bend = hand.habit.bend_m
    if bend:
        start, end = hand.at, where()
        line = end - start
        length = float(np.linalg.norm(line[:2]))
        if length > 0.1:
            side = np.array([-line[1], line[0], 0.0]) / length
            middle = start + 0.5 * line + bend * side
            yield from move(hand, fixed(middle), yaw, near_m=0.04, limit=limit // 2)
    yield from move(hand, where, yaw, near_m=near_m, limit=limit)


def wait(hand: Hand, steps: int) -> Actions:
    """Stand still."""
    for _ in range(steps):
        yield hand.still()


def squeeze(hand: Hand, closed: float, *, least: int = 3, limit: int = 12) -> Actions:
    """Open or close until the fingers stop moving."""
    hand.closed = closed
    before = hand.world.gripper(hand.arm)
    for step in range(limit):
        yield hand.still()
        now = hand.world.gripper(hand.arm)
        if step + 1 >= least and abs(now - before) < 0.01:
            return
        before = now


def rise(hand: Hand, height: float, *, near_m: float = 0.02) -> Actions:
    """Straight up (or down) to a height over the table."""
    target = np.array([*hand.at[:2], height])
    yield from move(hand, fixed(target), near_m=near_m, limit=30)


def withdraw(hand: Hand) -> Actions:
    """Up and away, when a thing stands between the open pads or beside them."""
    world, here = hand.world, hand.at
    things = (world.pose(item.name)[0] for item in world.scene.things if item.movable)
    if any(float(np.linalg.norm(place - here)) < 0.06 for place in things):
        hand.say("open the gripper and move up")
        yield from squeeze(hand, OPEN, least=1)
        yield from rise(hand, float(here[2]) + HOVER_M, near_m=0.03)


def grasp_yaw(world: World, name: str, now: float) -> float:
    """The heading nearest to `now` at which the pads meet two faces of an upright box."""
    turned = heading(world, name)
    turns = (wrapped(turned + k * np.pi / 2) for k in range(4))
    ahead = float(world.base()[2])
    return min(turns, key=lambda turn: (abs(wrapped(turn - ahead)) > 1.6, abs(wrapped(turn - now))))


def grasp(hand: Hand, name: str, *, down_m: float = 0.0, yaw: float | None = None, tries: int = 3) -> Actions:
    """Pick a thing up from above, `down_m` over its centre; again when it slipped."""
    world = hand.world
    for _ in range(tries):
        if world.holding(name, hand.arm):
            return
        hand.closed = OPEN
        turn = grasp_yaw(world, name, hand.yaw) if yaw is None else yaw
        hand.say("move above {}", name)
        yield from travel(hand, above(world, name, down_m + HOVER_M), turn, near_m=0.025)
        hand.say("go down to {}", name)
        yield from move(hand, above(world, name, down_m), turn, near_m=0.007, limit=25)
        hand.say("grasp {}", name)
        yield from squeeze(hand, CLOSED)
        start = hand.at[2]
        hand.say("lift {}", name)
        yield from move(hand, fixed(hand.at + np.array([0.0, 0.0, HOVER_M])), near_m=0.03, limit=12)
        if world.holding(name, hand.arm) and hand.at[2] > start:
            return


def release(hand: Hand, *, up_m: float = HOVER_M) -> Actions:
    """Let go and move up."""
    hand.say("let go and move up")
    yield from squeeze(hand, OPEN, least=2)
    yield from move(hand, fixed(hand.at + np.array([0.0, 0.0, up_m])), near_m=0.03, limit=12)
