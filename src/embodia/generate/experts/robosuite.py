"""Scripted experts for robosuite, which ships none: grasp from above, carry, release, with the hand kept upright.

Lift, Stack, PickPlaceCan, NutAssemblySquare and TwoArmLift have one. Door (a latch to be turned while pulling) and
TwoArmHandover (a second grasp of a hammer in the air) have none. The one thing to watch: scripts read places of objects
that a policy never sees.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from embodia.core.names import unknown
from embodia.envs.adapters.robosuite import Scene
from embodia.envs.protocol import Env
from embodia.generate.experts._angles import wrapped
from embodia.generate.experts._inside import scene
from embodia.generate.experts._stages import Floats, Script, Stage, no_turn, raised

OPEN, SHUT = -1.0, 1.0
_MOVE_GAIN, _TURN_GAIN, _UPRIGHT_GAIN = 60.0, 3.0, 2.0
_QUARTER, _HALF = np.pi / 2, np.pi
_SQUEEZE = 8


def build(task: str) -> RobosuiteExpert:
    """The expert for `task`. Raises `UnknownNameError` where there is none."""
    if task not in SCRIPTS:
        raise unknown("expert of robosuite", task, SCRIPTS)
    return RobosuiteExpert(SCRIPTS[task])


class RobosuiteExpert:
    """Follows a script with one hand or two."""

    def __init__(self, stages: tuple[Stage, ...]) -> None:
        self._script = Script(stages)

    def begin(self) -> None:
        """Go back to the first stage."""
        self._script.begin()

    def act(self, env: Env) -> npt.NDArray[np.float32]:
        """For each arm: displacement (3), turn (3), gripper (1), each in [-1, 1]."""
        world = scene(env, Scene, "robosuite").env
        moves, turns, grip = self._script.ask(world, _hands(world))
        each = zip(world.robots, moves, turns, strict=True)
        arms = [_arm(world, robot, move, turn, grip) for robot, move, turn in each]
        return np.concatenate(arms).astype(np.float32)


def _arm(world: Any, robot: Any, move: Floats, turn: float, grip: float) -> Floats:
    down = world.sim.data.site_xmat[robot.eef_site_id].reshape(3, 3)[:, 2]
    rotation = _UPRIGHT_GAIN * np.cross(down, [0.0, 0.0, -1.0])
    rotation[2] += _TURN_GAIN * turn
    return np.clip(np.concatenate([_MOVE_GAIN * move, rotation, [grip]]), -1.0, 1.0)


def _hands(world: Any) -> Floats:
    return np.array([world.sim.data.site_xpos[robot.eef_site_id] for robot in world.robots])


def _body(world: Any, name: str) -> Floats:
    return np.array(world.sim.data.get_body_xpos(name))


def _site(world: Any, name: str) -> Floats:
    return np.array(world.sim.data.get_site_xpos(name))


def _yaw(world: Any, body: str) -> float:
    rotation = world.sim.data.get_body_xmat(body)
    return float(np.arctan2(rotation[1, 0], rotation[0, 0]))


def _finger_yaw(world: Any, arm: int = 0) -> float:
    """Direction along which a gripper opens, about the vertical."""
    left, right = (_body(world, f"gripper{arm}_{side}finger") for side in ("left", "right"))
    return float(np.arctan2(left[1] - right[1], left[0] - right[0]))


def _above(body: str, height_m: float) -> Callable[[Any], Floats]:
    return lambda world: raised(_body(world, body), height_m)[None]


def _rise(world: Any) -> Floats:
    return raised(_hands(world), 0.05)


def _lifted(height_m: float) -> Callable[[Any], Floats]:
    return lambda world: np.concatenate([_hands(world)[:, :2], np.full((len(world.robots), 1), height_m)], axis=1)


def _carried(body: str, goal: Callable[[Any], Floats]) -> Callable[[Any], Floats]:
    """Where the hand has to be for the body it holds to be at `goal`."""
    return lambda world: _hands(world) + (goal(world) - _body(world, body))


def _align_cube(body: str) -> Callable[[Any], Floats]:
    return lambda world: np.array([wrapped(_yaw(world, body) - _finger_yaw(world), _QUARTER)])


def _grasp(body: str, depth_m: float, turn: Callable[[Any], Floats]) -> tuple[Stage, ...]:
    low = _above(body, depth_m)
    return (
        Stage(where=_above(body, 0.1), grip=OPEN, turn=turn, near_m=0.02),
        Stage(where=low, grip=OPEN, turn=turn),
        Stage(where=low, grip=SHUT, near_m=0.05, hold=_SQUEEZE),
    )


def _on_green(height_m: float) -> Callable[[Any], Floats]:
    return lambda world: raised(_body(world, "cubeB_main"), height_m)


def _bin(height_m: float) -> Callable[[Any], Floats]:
    return lambda world: raised(world.target_bin_placements[world.object_id], height_m)


def _nut_handle(height_m: float) -> Callable[[Any], Floats]:
    return lambda world: raised(_site(world, "SquareNut_handle_site"), height_m)[None]


def _align_handle(world: Any) -> Floats:
    out = _site(world, "SquareNut_handle_site") - _site(world, "SquareNut_center_site")
    return np.array([wrapped(np.arctan2(out[1], out[0]) + _QUARTER - _finger_yaw(world), _HALF)])


def _square_up(world: Any) -> Floats:
    """Turn the nut's handle to a side of the peg, never to the one that is out of the arm's reach."""
    out = _site(world, "SquareNut_handle_site") - _site(world, "SquareNut_center_site")
    yaw = float(np.arctan2(out[1], out[0]))
    turns = [wrapped(side - yaw) for side in (_QUARTER, np.pi, -_QUARTER)]
    return np.array([min(turns, key=abs)])


def _peg(height_m: float) -> Callable[[Any], Floats]:
    return lambda world: np.array([*_body(world, "peg1")[:2], world.table_offset[2] + height_m])


def _pot_handles(height_m: float) -> Callable[[Any], Floats]:
    return lambda world: raised([_site(world, f"pot_handle{arm}") for arm in range(2)], height_m)


def _align_pot(world: Any) -> Floats:
    found = []
    for arm in range(2):
        out = _site(world, f"pot_handle{arm}") - _site(world, "pot_center")
        found.append(wrapped(np.arctan2(out[1], out[0]) - _finger_yaw(world, arm), _HALF))
    return np.array(found)


_LET_GO = (Stage(where=_hands, grip=OPEN, hold=_SQUEEZE), Stage(where=_rise, grip=OPEN))
SCRIPTS: Mapping[str, tuple[Stage, ...]] = MappingProxyType(
    {
        "Lift": (*_grasp("cube_main", 0.0, _align_cube("cube_main")), Stage(where=_rise, grip=SHUT)),
        "Stack": (
            *_grasp("cubeA_main", 0.0, _align_cube("cubeA_main")),
            Stage(where=_lifted(0.95), grip=SHUT),
            Stage(where=_carried("cubeA_main", _on_green(0.1)), grip=SHUT),
            Stage(where=_carried("cubeA_main", _on_green(0.048)), grip=SHUT, near_m=0.006),
            *_LET_GO,
        ),
        "PickPlaceCan": (
            *_grasp("Can_main", 0.01, no_turn),
            Stage(where=_lifted(1.1), grip=SHUT, near_m=0.05),
            Stage(where=_carried("Can_main", _bin(0.2)), grip=SHUT, near_m=0.05),
            Stage(where=_carried("Can_main", _bin(0.08)), grip=SHUT, near_m=0.04),
            *_LET_GO,
        ),
        "NutAssemblySquare": (
            Stage(where=_nut_handle(0.1), grip=OPEN, turn=_align_handle, near_m=0.02),
            Stage(where=_nut_handle(0.0), grip=OPEN, turn=_align_handle),
            Stage(where=_nut_handle(0.0), grip=SHUT, near_m=0.05, hold=_SQUEEZE),
            Stage(where=_lifted(0.98), grip=SHUT, near_m=0.02),
            Stage(where=_carried("SquareNut_main", _peg(0.16)), grip=SHUT, turn=_square_up, near_rad=0.04),
            Stage(where=_carried("SquareNut_main", _peg(0.06)), grip=SHUT, turn=_square_up, near_m=0.02),
            *_LET_GO,
        ),
        "TwoArmLift": (
            Stage(where=_pot_handles(0.1), grip=OPEN, turn=_align_pot, near_m=0.02),
            Stage(where=_pot_handles(0.0), grip=OPEN, turn=_align_pot, near_m=0.015),
            Stage(where=_pot_handles(0.0), grip=SHUT, near_m=0.05, hold=_SQUEEZE),
            Stage(where=_rise, grip=SHUT),
        ),
    }
)
