"""Scripted experts of Desk: one script a family of tasks, closed loop on the true state, in several styles.

`build(task, style)`: "direct" goes straight, "left_route" and "right_route" swing long moves to one side, "two_routes"
to a side that the episode decides, "sloppy" has an operator of its own speed, tremor and pauses in every episode. The
one thing to watch: everything random is drawn from the state at the start of the episode, so that it repeats exactly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from embodia.core.errors import ConfigError
from embodia.core.names import unknown
from embodia.envs.adapters.desk import DeskEnv
from embodia.envs.desk import tasks
from embodia.envs.desk.tasks import Task
from embodia.envs.desk.world import World
from embodia.envs.protocol import Env
from embodia.generate.experts import _desk_bodies, _desk_scripts
from embodia.generate.experts._desk_hand import Habit, Hand
from embodia.generate.experts._desk_motion import Actions
from embodia.generate.experts._inside import adapter

Script: TypeAlias = Callable[[Hand, Any], Actions]
SCRIPTS: Mapping[str, Script] = MappingProxyType({**_desk_scripts.SCRIPTS, **_desk_bodies.SCRIPTS})
"""Family -> its script; `Hand.world` is the world."""

STYLES = ("direct", "left_route", "right_route", "two_routes", "sloppy")
_BEND_M = 0.12


def build(task: str, style: str = "direct") -> DeskExpert:
    """The expert for `task`. Raises `UnknownNameError`."""
    return DeskExpert(tasks.get(task), style)


class DeskExpert:
    """Plays the script of a task, and begins it again when it has ended without success."""

    def __init__(self, task: Task, style: str = "direct") -> None:
        if style not in STYLES:
            raise unknown("style", style, STYLES)
        if task.family not in SCRIPTS:
            raise unknown("script for the family", task.family, SCRIPTS)
        self._task, self._style, self._script = task, style, SCRIPTS[task.family]
        self._actions: Actions | None = None
        self._hand: Hand | None = None
        self._drift = np.zeros(3)

    @property
    def hand(self) -> Hand | None:
        """Who acts, with what it is doing now in words; None before the first action."""
        return self._hand

    def begin(self) -> None:
        """Forget the episode before."""
        self._actions, self._hand, self._drift = None, None, np.zeros(3)

    def act(self, env: Env) -> npt.NDArray[np.float32]:
        """The next action (A,)."""
        return self.choose(adapter(env, DeskEnv, "desk").world)

    def choose(self, world: World) -> npt.NDArray[np.float32]:
        """The next action (A,) in a world that has no environment around it. Raises `ConfigError`."""
        if world.control != "ee":
            raise ConfigError("an expert of desk acts under ee control", leaf="options.control")
        if self._hand is None or self._hand.world is not world:
            self._hand, self._actions = Hand(world=world, **_operator(world, self._style)), None
        if self._actions is None:
            self._actions = self._script(self._hand, self._task)
        action = next(self._actions, None)
        if action is None:
            self._actions, action = None, self._hand.still()
        return np.clip(self._tremble(self._hand, action), -1.0, 1.0).astype(np.float32)

    def _tremble(self, hand: Hand, action: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if not hand.habit.wander:
            return action
        self._drift = 0.8 * self._drift + 0.6 * hand.habit.wander * hand.rng.standard_normal(3)
        changed = action.copy()
        changed[:3] += self._drift * (0.3 if hand.closed > 0.5 else 1.0)
        return changed


def _operator(world: World, style: str) -> dict[str, Any]:
    """Habit and generator of the operator of this episode."""
    digest = hashlib.blake2b(world.state().tobytes(), digest_size=8).digest()
    rng = np.random.default_rng(int.from_bytes(digest, "little"))
    bends = {"left_route": _BEND_M, "right_route": -_BEND_M, "two_routes": _BEND_M * float(rng.choice([-1.0, 1.0]))}
    habit = Habit(bend_m=bends.get(style, 0.0))
    if style == "sloppy":
        habit = Habit(
            speed=float(rng.uniform(0.5, 1.0)),
            bend_m=float(rng.uniform(-0.08, 0.08)),
            wander=float(rng.uniform(0.1, 0.3)),
            pause=0.3,
        )
    return {"habit": habit, "rng": rng}
