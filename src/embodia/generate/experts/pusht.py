"""PushT by trying: every push is chosen among some two hundred that were tried on a second table.

It knows where the T is. A push is a contact, a direction and a length; the one after which the corners of the T lie
nearest to the outline is carried out, aimed once more when the finger has got there, and so on.
The one thing to watch: it is greedy, so a T that has to turn round first may use up an episode.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from embodia.core.names import unknown
from embodia.envs.adapters.pusht import FAMILY
from embodia.envs.protocol import Env
from embodia.envs.simulated import SimulatedEnv
from embodia.generate.experts._inside import adapter
from embodia.generate.experts._pusht_table import (
    EDGE_PX,
    FINGER_PX,
    TABLE_PX,
    Floats,
    Trial,
    clear,
    contacts,
    distance,
    outline,
    way_round,
)

PUSH_STEPS = 6
_GAP_PX = 3.0
_TILTS_RAD = (-0.4, 0.0, 0.4)
_LENGTHS = (0.5, 1.0, 2.0)
_FINE_TILTS_RAD = (-0.3, -0.15, 0.0, 0.15, 0.3)
_FINE_LENGTHS = (0.6, 0.8, 1.0, 1.2, 1.5)
_FAR_COST = 0.02
_TRIED = 12
_NEAR_PX, _COARSE_PX, _CLOSE_PX = 15.0, 15.0, 7.0


def build(task: str) -> PushTExpert:
    """The expert for the one task. Raises `UnknownNameError`."""
    if task not in FAMILY.sentences:
        raise unknown("task", task, FAMILY.sentences)
    return PushTExpert()


@dataclass(frozen=True, kw_only=True)
class _Push:
    """From `start` to `start + length * towards`."""

    start: Floats
    towards: Floats
    length: float

    @property
    def target(self) -> Floats:
        return self.start + self.length * self.towards


class PushTExpert:
    """Plans one push after the other."""

    def __init__(self) -> None:
        self._trial: Trial | None = None
        self._way: list[Floats] = []
        self._push: _Push | None = None
        self._left = 0

    def begin(self) -> None:
        """Start with a fresh table to try things on."""
        self._trial, self._way, self._push, self._left = Trial(), [], None, 0

    def act(self, env: Env) -> npt.NDArray[np.float32]:
        """Where the finger shall go (2,), pixels."""
        table = adapter(env, SimulatedEnv, "pusht").simulation.table
        finger = np.array(table.agent.position)
        pose = np.array([*table.block.position, table.block.angle])
        goal = np.asarray(table.goal_pose, np.float64)
        if self._left == 0 and self._push is None:
            self._choose(pose, finger, goal)
        return np.clip(self._target(table, pose, finger, goal), 0.0, TABLE_PX).astype(np.float32)

    def _target(self, table: Any, pose: Floats, finger: Floats, goal: Floats) -> Floats:
        assert self._push is not None
        while self._way and np.linalg.norm(finger - self._way[0]) < (3.0 if len(self._way) == 1 else 14.0):
            self._way.pop(0)
            if not self._way:
                self._aim(pose, finger, goal)
                self._left = PUSH_STEPS
        if self._way:
            return self._way[0]
        target = self._push.target
        self._left -= 1
        if self._left == 0:
            self._push = None
        return target

    def _choose(self, pose: Floats, finger: Floats, goal: Floats) -> None:
        from shapely.geometry import Polygon

        shape = Polygon(outline(pose))
        now = distance(pose, goal)
        found: list[tuple[float, _Push]] = []
        for point, inward in contacts(pose, _CLOSE_PX if now < _NEAR_PX else _COARSE_PX):
            start = point - inward * (FINGER_PX + _GAP_PX)
            if start.min() < EDGE_PX or start.max() > TABLE_PX - EDGE_PX or not clear(start, start, shape, 1.0):
                continue
            far = _FAR_COST * float(np.linalg.norm(start - finger)) * min(1.0, now / _NEAR_PX)
            for push in _pushes(start, inward, now, _TILTS_RAD, _LENGTHS):
                found.append((self._after(pose, push, goal) + far, push))
        for _, push in sorted(found, key=lambda pair: pair[0])[:_TRIED]:
            self._push, self._way = push, way_round(finger, push.start, pose)
            if self._way:
                return
        self._push, self._way = _Push(start=finger, towards=np.zeros(2), length=0.0), [finger]

    def _aim(self, pose: Floats, finger: Floats, goal: Floats) -> None:
        """Choose direction and length again from where the finger really is."""
        assert self._push is not None
        near = _pushes(finger, self._push.towards, self._push.length, _FINE_TILTS_RAD, _FINE_LENGTHS)
        self._push = min(near, key=lambda push: self._after(pose, push, goal))

    def _after(self, pose: Floats, push: _Push, goal: Floats) -> float:
        assert self._trial is not None
        return distance(self._trial.push(pose, push.start, push.target, PUSH_STEPS), goal)


def _pushes(
    start: Floats, towards: Floats, unit_px: float, tilts: tuple[float, ...], lengths: tuple[float, ...]
) -> list[_Push]:
    angle = np.arctan2(towards[1], towards[0])
    ways = [np.array([np.cos(angle + tilt), np.sin(angle + tilt)]) for tilt in tilts]
    return [
        _Push(start=start, towards=way, length=float(np.clip(_GAP_PX + share * unit_px, 4.0, 130.0)))
        for way in ways
        for share in lengths
    ]
