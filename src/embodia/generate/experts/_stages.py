"""A script of stages: where each hand should be, how far it should still turn, whether its gripper is shut.

Targets are functions of the present scene, so an object that slips is followed, not forgotten. The one thing to watch:
a stage ends only when every hand has arrived and has stayed for `hold` steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def no_turn(world: Any) -> Floats:
    """No hand has to turn."""
    return np.zeros(1)


def raised(place: npt.ArrayLike, height_m: float) -> Floats:
    """Places (... 3) moved upwards."""
    return np.asarray(place, np.float64) + np.array([0.0, 0.0, height_m])


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step of a script.

    where   world -> places of the hands (N 3), metres
    grip    1 shut, -1 open
    turn    world -> how far each hand should still turn about the vertical (N,) or (1,), radians
    near_m, near_rad   how close counts as arrived
    hold    control steps to stay after arrival
    """

    where: Callable[[Any], Floats]
    grip: float
    turn: Callable[[Any], Floats] = no_turn
    near_m: float = 0.01
    near_rad: float = 0.1
    hold: int = 0


class Script:
    """Walks through stages; the last one is kept."""

    def __init__(self, stages: tuple[Stage, ...]) -> None:
        self._stages = stages
        self.begin()

    def begin(self) -> None:
        """Go back to the first stage."""
        self._index = self._stayed = 0

    def ask(self, world: Any, hands: Floats) -> tuple[Floats, Floats, float]:
        """What is left to move (N 3) and to turn (N,) for hands at (N 3), and the grip, of the stage now reached."""
        stage = self._stages[self._index]
        move, turn = stage.where(world) - hands, np.broadcast_to(stage.turn(world), len(hands))
        arrived = np.linalg.norm(move, axis=1).max() < stage.near_m and np.abs(turn).max() < stage.near_rad
        self._stayed += bool(arrived)
        if arrived and self._stayed > stage.hold and self._index + 1 < len(self._stages):
            self._index, self._stayed = self._index + 1, 0
        return move, turn, stage.grip
