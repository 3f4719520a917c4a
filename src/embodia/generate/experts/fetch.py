"""Scripted experts for the Fetch tasks, which ship without: reach, push from behind, pick and place.

Sliding has none: it is one blow whose strength decides, not a script. The one thing to watch: they read the places of
goal and object, which a policy has to see.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from embodia.core.names import unknown
from embodia.envs.adapters.fetch import Scene
from embodia.envs.protocol import Env
from embodia.envs.simulated import Floats
from embodia.generate.experts._inside import scene
from embodia.generate.experts._stages import Script, Stage, raised

OPEN, SHUT = -1.0, 1.0
_GAIN = 15.0
_BEHIND_M, _HIGH_M, _REACHED_M = 0.08, 0.12, 0.035


def build(task: str) -> FetchExpert:
    """The expert for `task`. Raises `UnknownNameError` where there is none."""
    if task not in _STAGES:
        raise unknown("expert of fetch", task, _STAGES)
    return FetchExpert(_STAGES[task])


class FetchExpert:
    """Follows a script."""

    def __init__(self, stages: tuple[Stage, ...]) -> None:
        self._script = Script(stages)

    def begin(self) -> None:
        """Go back to the first stage."""
        self._script.begin()

    def act(self, env: Env) -> npt.NDArray[np.float32]:
        """Hand displacement (3) and gripper (1, positive opens), each in [-1, 1]."""
        world = scene(env, Scene, "fetch")
        moves, _, grip = self._script.ask(world, world.hand[None])
        return np.clip([*_GAIN * moves[0], -grip], -1.0, 1.0).astype(np.float32)


def _object(height_m: float) -> Callable[[Scene], Floats]:
    return lambda scene: raised(scene.achieved, height_m)[None]


def _carry(scene: Scene) -> Floats:
    return (scene.hand + scene.env.goal - scene.achieved)[None]


def _goal(scene: Scene) -> Floats:
    return np.array(scene.env.goal)[None]


def _behind(height_m: float) -> Callable[[Scene], Floats]:
    """On the far side of the object as seen from the goal, so that moving forward pushes it there."""

    def place(scene: Scene) -> Floats:
        way = (scene.env.goal - scene.achieved)[:2]
        back = way / max(float(np.linalg.norm(way)), 1e-6) * _BEHIND_M
        return np.array([[*(scene.achieved[:2] - back), scene.achieved[2] + height_m]])

    return place


def _push(scene: Scene) -> Floats:
    """Ahead through the object towards the goal, steered back behind it when it drifts aside, and no further."""
    way = (scene.env.goal - scene.achieved)[:2]
    left = float(np.linalg.norm(way))
    if left < _REACHED_M:
        return scene.hand[None]
    along = way / left
    lag = (scene.achieved - scene.hand)[:2]
    aside = lag - along * (lag @ along)
    ahead = along * min(0.4 * left, 0.03)
    return np.array([[*(scene.hand[:2] + ahead + 1.5 * aside), scene.achieved[2]]])


_STAGES: Mapping[str, tuple[Stage, ...]] = MappingProxyType(
    {
        "FetchReach": (Stage(where=_goal, grip=SHUT),),
        "FetchPush": (
            Stage(where=_behind(_HIGH_M), grip=SHUT, near_m=0.03),
            Stage(where=_behind(0.0), grip=SHUT, near_m=0.02),
            Stage(where=_push, grip=SHUT, near_m=0.0),
        ),
        "FetchPickAndPlace": (
            Stage(where=_object(_HIGH_M), grip=OPEN, near_m=0.03),
            Stage(where=_object(0.0), grip=OPEN, near_m=0.01),
            Stage(where=_object(0.0), grip=SHUT, near_m=0.03, hold=2),
            Stage(where=_carry, grip=SHUT, near_m=0.0),
        ),
    }
)
