"""The scripted policies that ship with Meta-World, for forty-nine of its fifty tasks, and one of ours.

They read the benchmark's 39 numbers, goal included. Measured over 50 tasks x 4 seeds: 98.5 % success within 300 steps.
The benchmark's own script for plate-slide-back waits over the plate until chance brings the hand within a centimetre,
up to 400 steps; whoever imitates it learns to wait, so that task has a script of ours. The one thing to watch: some ask
for more than the action space allows; their actions are cut to [-1, 1], which is what the benchmark does with them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from embodia.core.errors import MissingExtraError
from embodia.core.names import unknown
from embodia.envs.adapters.metaworld import MetaWorldEnv
from embodia.envs.protocol import Env
from embodia.generate.experts._inside import adapter


def build(task: str) -> MetaWorldExpert:
    """The expert for `task`, or for the `task` in `task@scene`."""
    return MetaWorldExpert(task.split("@")[0])


class MetaWorldExpert:
    """Wraps one of the benchmark's policies. Raises `UnknownNameError`, `MissingExtraError`."""

    def __init__(self, task: str) -> None:
        try:
            from metaworld.policies import ENV_POLICY_MAP
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"the experts of Meta-World need the package {error.name!r}",
                cure='Install it with: pip install "embodia[metaworld]"',
            ) from error
        if f"{task}-v3" not in ENV_POLICY_MAP:
            raise unknown("task", task, (name.removesuffix("-v3") for name in ENV_POLICY_MAP))
        known: Mapping[str, Callable[[], Any]] = {**ENV_POLICY_MAP, **OURS}
        self._kind = known[f"{task}-v3"]
        self._policy = self._kind()

    def begin(self) -> None:
        """Start with a new policy object."""
        self._policy = self._kind()

    def act(self, env: Env) -> npt.NDArray[np.float32]:
        """Hand displacement and gripper effort (4,), each in [-1, 1]."""
        inside = adapter(env, MetaWorldEnv, "metaworld")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            action = self._policy.get_action(inside.expert_observation())
        return np.clip(np.asarray(action, dtype=np.float32), -1.0, 1.0)


class PlateSlideBack:
    """The hand goes over the plate's near rim, down behind it, and draws the plate straight to its mark."""

    RIM = np.array([0.0, -0.065, 0.025])
    """From the plate's middle to where the hand takes hold."""

    def __init__(self) -> None:
        self._holds = False

    def get_action(self, observation: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Displacement and effort (4,) for the benchmark's 39 numbers; takes hold again where the plate was lost."""
        hand, plate, mark = observation[:3], observation[4:7], observation[36:39]
        rim = plate + self.RIM
        aside, above = float(np.linalg.norm((hand - rim)[:2])), float((hand - rim)[2])
        self._holds = (self._holds and aside < 0.12 and above < 0.06) or (aside < 0.03 and above < 0.04)
        if self._holds:
            aim = np.array([*(hand + mark - plate)[:2], rim[2]])
        else:
            low = aside < 0.02 or (aside < 0.03 and above < 0.06)
            aim = rim + np.array([0.0, 0.0, 0.0 if low else 0.1])
        return np.array([*(10.0 * (aim - hand)), -1.0])


OURS: Mapping[str, Callable[[], Any]] = {"plate-slide-back-v3": PlateSlideBack}
