"""The emptiest environment with two pictures, behind our protocol; importable by name, because workers import it."""

from __future__ import annotations

import numpy as np
from common import CAMERAS, SIZE, frame

from embodia.core.provenance import Provenance
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.types import Array, Observation, changed
from embodia.envs.protocol import Env, Split, StepResult

TASK = "go-red"
_RATE_HZ = 30.0


class Pictures:
    """State counts the steps, pictures are `common.frame` of that count."""

    def __init__(self) -> None:
        part = ActionPart(name="x", dim=2, representation="joint_position", units="none", low=-1.0, high=1.0)
        cameras = tuple(CameraSpec(name=name, height=SIZE, width=SIZE) for name in CAMERAS)
        state = (StatePart(name="x", dim=1),)
        self.contract = Contract(
            observation=ObservationSpec(cameras=cameras, state=state, rate_hz=_RATE_HZ),
            action=ActionSpec(parts=(part,), rate_hz=_RATE_HZ),
            embodiment="none",
        )
        self.provenance = Provenance(environment="pictures", profile="fast", cameras=CAMERAS)
        self.tasks, self._steps = (TASK,), 0

    def reset(self, task: str, seed: int) -> Observation:
        """Count from 0."""
        self._steps = 0
        return self._sense()

    def step(self, action: Array) -> StepResult:
        """Count."""
        self._steps += 1
        return self._sense(), 0.0, False, False, {"success": False}

    def observe(self) -> Observation:
        """With pictures."""
        images = {name: frame(self._steps, number)[None, None] for number, name in enumerate(CAMERAS)}
        return changed(self._sense(), images=images)

    def judge(self, task: str) -> bool:
        """Never."""
        return False

    def instructions(self, task: str, split: Split = "canonical") -> tuple[str, ...]:
        """One."""
        return ("Count.",)

    def scene_partners(self, task: str) -> tuple[str, ...]:
        """None."""
        return ()

    def close(self) -> None:
        """Nothing is open."""

    def _sense(self) -> Observation:
        count = np.array([[[self._steps]]], np.float32)
        return Observation(state=count, instruction=("Count.",), embodiment="none", time_s=count[0] / _RATE_HZ)


def pictures(_: Env) -> Env:
    """In place of whatever environment."""
    return Pictures()
