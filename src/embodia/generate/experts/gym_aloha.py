"""Scripted experts for gym-aloha, which ships none with joint targets: hand the cube over, put the peg into the socket.

Both know where the objects lie. The course is the same in every episode but for the objects' places, as in the
scripted data of the publication. Measured over 50 seeds each: `results/suites/gym_aloha.json`. The one thing to watch:
success is a touch by the left finger, so the hand-over goes on after it until the right hand has let go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from embodia.core.names import unknown
from embodia.envs.protocol import Env
from embodia.envs.simulated import SimulatedEnv
from embodia.generate.experts._aloha_arms import JOINTS, OPEN, SHUT, SIDES, Floats, Hands, Move, Pose
from embodia.generate.experts._inside import adapter

_DOWN, _ON_EDGE = np.deg2rad(60.0), np.pi / 2
_MEETING_M = np.array([0.0, 0.5, 0.25])
_INSERTED = MappingProxyType({"left": ("socket", -0.5), "right": ("peg", 0.5)})
_APART_M, _BEFORE_M, _INSIDE_M = 0.24, 0.15, 0.085


def build(task: str) -> AlohaExpert:
    """The expert for `task`. Raises `UnknownNameError`."""
    if task not in SCRIPTS:
        raise unknown("expert of gym_aloha", task, SCRIPTS)
    return AlohaExpert(SCRIPTS[task])


class AlohaExpert:
    """Carries out a script with both hands."""

    def __init__(self, script: tuple[Move, ...]) -> None:
        self._script = script
        self._hands: Hands | None = None

    def begin(self) -> None:
        """Start from the arms' rest."""
        self._hands = None

    def act(self, env: Env) -> npt.NDArray[np.float32]:
        """Joint angles (6) and gripper (1), left then right (14,)."""
        simulation = adapter(env, SimulatedEnv, "gym_aloha").simulation
        measured = simulation.proprioception().reshape(len(SIDES), JOINTS + 1)[:, :JOINTS]
        if self._hands is None:
            self._hands = Hands(simulation.model, measured)
        return self._hands.ask(simulation.physics, self._script, measured).astype(np.float32)


def _place(physics: Any, body: str) -> Floats:
    return np.array(physics.named.data.xpos[body])


def _over(body: str, height_m: float) -> Callable[[Any], Pose]:
    return lambda physics: Pose(point=_place(physics, body) + np.array([0.0, 0.0, height_m]), down_rad=_DOWN)


def _give(x_m: float, z_m: float) -> Callable[[Any], Pose]:
    return lambda physics: Pose(point=_MEETING_M + np.array([x_m, 0.0, z_m]), down_rad=_DOWN)


def _receive(outwards_m: float) -> Callable[[Any], Pose]:
    """The left hand level and on edge, so that its fingers close over and under what the right ones hold."""
    return lambda physics: Pose(point=_MEETING_M - np.array([outwards_m, 0.0, 0.0]), roll_rad=_ON_EDGE)


def _apart(side: str, distance_m: float) -> Callable[[Any], Pose]:
    """Where the tool has to be for the centres of peg and socket to be that far apart round the meeting point."""
    body, share = _INSERTED[side]

    def pose(physics: Any) -> Pose:
        held = np.array(physics.named.data.site_xpos[f"cali_{side}_site1"]) - _place(physics, body)
        return Pose(point=_MEETING_M + np.array([share * distance_m, 0.0, 0.0]) + held, down_rad=_DOWN)

    return pose


def _both(goal: Callable[[str], Callable[[Any], Pose]], grip: float, steps: int, **settings: Any) -> Move:
    return Move(left=goal("left"), right=goal("right"), grips=(grip, grip), steps=steps, **settings)


SCRIPTS: Mapping[str, tuple[Move, ...]] = MappingProxyType(
    {
        "transfer-cube": (
            Move(right=_over("box", 0.1), grips=(OPEN, OPEN), steps=55, near_m=0.03),
            Move(right=_over("box", 0.0), grips=(OPEN, OPEN), steps=30),
            Move(grips=(OPEN, SHUT), steps=18, patience=0),
            Move(left=_receive(0.13), right=_give(0.0, 0.0), grips=(OPEN, SHUT), steps=55),
            Move(left=_receive(0.01), grips=(OPEN, SHUT), steps=30),
            Move(grips=(SHUT, SHUT), steps=18, patience=0),
            Move(grips=(SHUT, OPEN), steps=10, patience=0),
            Move(left=_receive(0.08), right=_give(0.12, 0.1), grips=(SHUT, OPEN), steps=30),
        ),
        "insertion": (
            _both(lambda side: _over(_INSERTED[side][0], 0.1), OPEN, 55, near_m=0.03),
            _both(lambda side: _over(_INSERTED[side][0], 0.0), OPEN, 30),
            Move(grips=(SHUT, SHUT), steps=18, patience=0),
            _both(lambda side: _apart(side, _APART_M), SHUT, 45),
            _both(lambda side: _apart(side, _BEFORE_M), SHUT, 30),
            _both(lambda side: _apart(side, _INSIDE_M), SHUT, 35),
        ),
    }
)
