"""Scripted experts of Desk: one script a family of tasks, read line after line; they know where everything is.

The one thing to watch: a script starts at the first `act` of an episode and reads the world of that moment.
"""

from __future__ import annotations

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
from embodia.generate.experts import _desk_table
from embodia.generate.experts._desk_motion import Actions, hand_action

Script: TypeAlias = Callable[[World, Any], Actions]
SCRIPTS: Mapping[str, Script] = MappingProxyType({"reach": _desk_table.reach, "push": _desk_table.push})


def build(task: str) -> DeskExpert:
    """The expert for `task`. Raises `UnknownNameError`."""
    return DeskExpert(tasks.get(task))


class DeskExpert:
    """Plays the script of a task; when it has ended the hand stays where it is."""

    def __init__(self, task: Task) -> None:
        if task.family not in SCRIPTS:
            raise unknown("script for the family", task.family, SCRIPTS)
        self._task, self._script = task, SCRIPTS[task.family]
        self._actions: Actions | None = None
        self._last: npt.NDArray[np.float32] | None = None

    def begin(self) -> None:
        """Forget the episode before."""
        self._actions = self._last = None

    def act(self, env: Env) -> npt.NDArray[np.float32]:
        """The next action (A,)."""
        if not isinstance(env, DeskEnv):
            raise ConfigError(f"an expert of desk cannot act in {env.provenance.environment!r}")
        if self._actions is None:
            self._actions = self._script(env.world, self._task)
        found = next(self._actions, None)
        self._last = self._after(env.world) if found is None else found
        return self._last

    def _after(self, world: World) -> npt.NDArray[np.float32]:
        if self._last is None:
            return hand_action(world, world.tool()[0])
        still = np.zeros_like(self._last)
        start = 0
        for part in world.action_spec.parts:
            kept = part.representation in ("gripper", "ee_rotation")
            still[start : start + part.dim] = self._last[start : start + part.dim] if kept else 0.0
            start += part.dim
        return still
