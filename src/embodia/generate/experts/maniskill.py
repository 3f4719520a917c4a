"""The motion-planning experts that ship with ManiSkill, played one action at a time.

A shipped expert plans with the whole scene in sight and steps the environment itself. Here it runs in a thread of its
own that waits at each step until the action it asked for has been carried out, so it can be recorded, disturbed and
judged like any other. When it has no more to say it holds its last action.
The one thing to watch: a planner that has to search draws its own random numbers, so two runs from one seed may differ.
"""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from embodia.core.errors import EnvironmentFailure
from embodia.core.names import unknown
from embodia.envs.adapters._maniskill_sim import Scene
from embodia.envs.adapters._mujoco import missing, quiet
from embodia.envs.protocol import Env
from embodia.generate.experts._inside import scene

SOLUTIONS = MappingProxyType(
    {
        "PickCube": "solvePickCube",
        "StackCube": "solveStackCube",
        "PushCube": "solvePushCube",
        "PullCube": "solvePullCube",
        "PullCubeTool": "solvePullCubeTool",
        "LiftPegUpright": "solveLiftPegUpright",
        "PegInsertionSide": "solvePegInsertionSide",
        "PlugCharger": "solvePlugCharger",
        "PlaceSphere": "solvePlaceSphere",
        "StackPyramid": "solveStackPyramid",
    }
)
"""Task -> the package's solution; that of DrawTriangle is broken upstream."""
OPEN = 1.0
_PATIENCE_S = 120.0


def build(task: str) -> ManiSkillExpert:
    """The expert for `task`. Raises `UnknownNameError` where none ships."""
    if task not in SOLUTIONS:
        raise unknown("expert of maniskill", task, SOLUTIONS)
    return ManiSkillExpert(task)


class ManiSkillExpert:
    """One of the package's solutions. Raises `MissingExtraError` at the first action."""

    def __init__(self, task: str) -> None:
        self._name = SOLUTIONS[task]
        self.begin()

    def begin(self) -> None:
        """Give up the plan in hand."""
        self._plan: Stepwise | None = None
        self._last: npt.NDArray[np.float32] | None = None

    def act(self, env: Env) -> npt.NDArray[np.float32]:
        """Joint positions (7) in radians and gripper (1, positive opens)."""
        simulation = scene(env, Scene, "maniskill")
        if self._plan is None or self._last is None:
            self._plan = Stepwise(_solution(self._name), simulation.world)
            self._last = np.append(simulation.proprioception()[:7], OPEN).astype(np.float32)
        with quiet():
            asked = self._plan.next()
        if asked is not None:
            self._last = np.asarray(asked, np.float32)
        return self._last


class Stepwise:
    """A solution that steps an environment, turned inside out: `next` returns what it wants to do.

    The action of one `next` has to be carried out before the following `next`. Raises `EnvironmentFailure` when the
    solution fails or falls silent.
    """

    def __init__(self, solve: Callable[..., Any], world: Any) -> None:
        self._wants: queue.SimpleQueue[Any] = queue.SimpleQueue()
        go: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._go, self._ended = go, False
        weakref.finalize(self, go.put, False)
        threading.Thread(target=_run, args=(solve, _Listening(world, self._wants, go)), daemon=True).start()

    def next(self) -> Any:
        """The next action, or None once the solution has ended."""
        if self._ended:
            return None
        self._go.put(True)
        try:
            found = self._wants.get(timeout=_PATIENCE_S)
        except queue.Empty as error:
            raise EnvironmentFailure(f"an expert of maniskill planned for more than {_PATIENCE_S:g} s") from error
        if isinstance(found, EnvironmentFailure):
            raise found
        self._ended = found is None
        return found


class _Listening:
    """What a solution takes for the environment: hears its actions and answers when they have been carried out."""

    def __init__(self, world: Any, wants: queue.SimpleQueue[Any], go: queue.SimpleQueue[bool]) -> None:
        self.unwrapped, self.wants, self._go = world, wants, go

    def wait(self) -> None:
        """Until the next action is asked for; ends the thread when none ever will be."""
        if not self._go.get():
            raise SystemExit

    def reset(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The episode has begun already."""
        return {}, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Ask for `action` and wait until it has been carried out."""
        self.wants.put(np.array(action, np.float64))
        self.wait()
        return None, 0.0, False, False, {}


def _run(solve: Callable[..., Any], listening: _Listening) -> None:
    end: EnvironmentFailure | None = None
    try:
        listening.wait()
        solve(listening, seed=None, debug=False, vis=False)
    except SystemExit:
        return
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError, AssertionError) as error:
        end = EnvironmentFailure(f"an expert of maniskill failed: {error!r}")
    listening.wants.put(end)


def _solution(name: str) -> Callable[..., Any]:
    try:
        with quiet():
            from mani_skill.examples.motionplanning.panda import solutions
    except ModuleNotFoundError as error:
        raise missing("maniskill", error) from error
    return getattr(solutions, name)
