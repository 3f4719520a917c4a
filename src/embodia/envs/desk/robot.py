"""A Desk body behind the hardware abstraction layer, so that what drives a real robot can be tried on it.

`command` is refused in silence by a real driver when the robot is not armed; here the body holds its posture then, and
says so in `ignored`. The one thing to watch: simulated time passes only in `command` and `hold`, one control period a
call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from embodia.core.specs import Contract, ObservationSpec
from embodia.core.types import Array, Observation, check_actions
from embodia.envs.desk.senses import Senses, state_parts
from embodia.envs.desk.world import World
from embodia.envs.profiles import profile
from embodia.envs.protocol import CameraView

Floats = npt.NDArray[np.float64]
Mode = Literal["stopped", "holding", "armed"]


class DeskRobot:
    """Implements `core.protocols.Robot` on a `World`; it starts stopped."""

    def __init__(
        self, world: World, views: tuple[CameraView, ...] = (), *, senses: str = "rgb", profile_name: str = "fast"
    ) -> None:
        self.world = world
        self._senses = Senses(world.body, views, profile(profile_name), senses if views else "")
        self.contract = Contract(
            observation=ObservationSpec(
                cameras=tuple(view.spec(profile_name) for view in views),
                state=state_parts(world.body),
                rate_hz=world.body.rate_hz,
                language=False,
            ),
            action=world.action_spec,
            embodiment=f"desk-{world.body.name}",
        )
        self.mode: Mode = "stopped"
        self.ignored = 0
        self._steps = 0

    def observe(self) -> Observation:
        """The newest sensor values, (1 1 ...)."""
        seen = self._senses.see(self.world)
        return Observation(
            state=self._senses.state(self.world)[None, None],
            embodiment=self.contract.embodiment,
            time_s=np.array([[self._steps / self.world.body.rate_hz]]),
            **seen,
        )

    def command(self, action: Array) -> None:
        """One action (A,) for one control period; ignored unless armed. Raises `NotFiniteError`, `ShapeError`."""
        check_actions(action, self.contract.action, where=self.contract.embodiment)
        if self.mode != "armed":
            self.ignored += 1
            self._rest()
            return
        self.world.apply(np.asarray(action, np.float64))
        self._steps += 1

    def limits(self) -> Mapping[str, tuple[Floats, Floats]]:
        """Name -> lower and upper bounds: joints (rad or m), tool point in the frame of the mount (m)."""
        found: dict[str, tuple[Floats, Floats]] = {}
        for index, arm in enumerate(self.world.body.arms):
            suffix = "" if index == 0 else f"_{index}"
            low, high = (np.array([getattr(joint, side) for joint in arm.joints]) for side in ("low", "high"))
            found[f"joints{suffix}"] = low, high
            found[f"tool{suffix}"] = np.array(arm.low_m), np.array(arm.high_m)
        return found

    def arm(self) -> None:
        """Allow motion, from where the body is."""
        for item in self.world.arms:
            item.resume(self.world.data)
        self.mode = "armed"

    def hold(self) -> None:
        """Stay where it is, actively, for one control period; the gripper keeps what it holds."""
        if self.mode == "armed":
            self._freeze()
            self.mode = "holding"
        self._rest()

    def stop(self) -> None:
        """Controlled stop: the targets become the present posture; only `arm` leaves it."""
        self._freeze()
        self.mode = "stopped"

    def close(self) -> None:
        """Free graphics memory."""
        self._senses.close()

    def _freeze(self) -> None:
        for item in self.world.arms:
            item.resume(self.world.data)
        if self.world.wheels is not None:
            self.world.wheels.move(self.world.data, np.zeros(3))

    def _rest(self) -> None:
        self.world.idle()
        self._steps += 1
