"""The Franka kitchen of gymnasium-robotics: seven things to do, alone or four in a row, in one unchanging scene.

A thing counts as done once it has come within 0.3 (radians or metres of its joints) of its goal, even if it is undone
later, as in the benchmark. All tasks share the scene, so each can be asked for in the scene of another.
The one thing to watch: actions are joint velocities (1 = 2 rad/s), measured from a position with noise that the
benchmark draws from its own generator; no expert ships with it, and none is scripted here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from embodia.core.specs import ActionPart, StatePart
from embodia.envs.adapters._mujoco import Pictures, divergences, missing, quiet
from embodia.envs.drawing import Image, choose_opengl
from embodia.envs.profiles import VisualProfile
from embodia.envs.protocol import CameraView, EnvConfig
from embodia.envs.sentences import read
from embodia.envs.simulated import Family, Floats, SimulatedEnv

SENTENCES = read(__package__, "_franka_kitchen_language.json")
RATE_HZ = 12.5
HORIZON = 280
ELEMENTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "microwave": ("microwave",),
        "kettle": ("kettle",),
        "light-switch": ("light switch",),
        "slide-cabinet": ("slide cabinet",),
        "hinge-cabinet": ("hinge cabinet",),
        "bottom-burner": ("bottom burner",),
        "top-burner": ("top burner",),
        "complete": ("microwave", "kettle", "light switch", "slide cabinet"),
        "mixed": ("microwave", "kettle", "bottom burner", "light switch"),
    }
)
"""Task -> the benchmark's elements that have to be done."""
_COLLISION_GEOM_GROUPS = (3, 4)

FAMILY = Family(
    environment="franka_kitchen",
    body="franka_kitchen",
    packages=("gymnasium-robotics", "mujoco"),
    sentences=SENTENCES,
    parts=(
        ActionPart(name="joint_velocity", dim=7, representation="joint_velocity", scale=2.0),
        ActionPart(name="finger_velocity", dim=2, representation="joint_velocity", scale=2.0),
    ),
    state=(
        StatePart(name="joint_position", dim=7, units="rad"),
        StatePart(name="finger_position", dim=2, units="m"),
    ),
    rate_hz=RATE_HZ,
    horizon=HORIZON,
    partners={task: tuple(other for other in ELEMENTS if other != task) for task in ELEMENTS},
    views=MappingProxyType(
        {
            "kitchen": CameraView(
                name="kitchen", lookat_m=(-0.2, 0.5, 2.0), distance_m=2.2, azimuth_deg=70.0, elevation_deg=-35.0
            ),
            "close": CameraView(
                name="close", lookat_m=(-0.2, 0.6, 2.0), distance_m=1.6, azimuth_deg=90.0, elevation_deg=-45.0
            ),
        }
    ),
    default_cameras=("kitchen",),
    success_rule="each element of the task has come within 0.3 of its goal at some step of the episode",
)


def build(config: EnvConfig) -> SimulatedEnv:
    """A kitchen environment; the scene is built at the first `reset`."""
    return SimulatedEnv(FAMILY, config, Scene)


class Scene:
    """The kitchen. Raises `MissingExtraError`."""

    def __init__(self, task: str, views: tuple[CameraView, ...], profile: VisualProfile) -> None:
        self._wanted = frozenset(ELEMENTS[task])
        with quiet():
            self.env = _benchmark()
        self._done: set[str] = set()
        self._pictures = Pictures(views, profile, hidden=_COLLISION_GEOM_GROUPS)

    def reset(self, seed: int) -> None:
        """Put everything back; `seed` draws only the noise of the joint readings."""
        self.env.reset(seed=seed)
        self.env.data.qacc_warmstart[:] = 0.0
        self._done.clear()

    def step(self, action: Floats) -> tuple[float, bool]:
        """One control period of 80 ms: how many of the task's elements were newly done, whether physics held."""
        before = divergences(self.env.data)
        info = self.env.step(action)[4]
        new = set(info["step_task_completions"]) - self._done
        self._done |= new
        return float(len(new & self._wanted)), divergences(self.env.data) == before

    def holds(self, task: str) -> bool:
        """Whether all elements of `task` have been done in this episode."""
        return self._done.issuperset(ELEMENTS[task])

    def proprioception(self) -> Floats:
        """Joints (7) and fingers (2), without the benchmark's noise."""
        return np.array(self.env.data.qpos[:9])

    def draw(self) -> dict[str, Image]:
        """One upright picture a view."""
        return self._pictures.draw(self.env.model, self.env.data)

    def close(self) -> None:
        """Free graphics memory."""
        self._pictures.close()


def _benchmark() -> Any:
    choose_opengl()
    try:
        from gymnasium_robotics.envs.franka_kitchen.kitchen_env import KitchenEnv
    except ModuleNotFoundError as error:
        raise missing("franka_kitchen", error) from error
    return KitchenEnv(terminate_on_tasks_completed=False, remove_task_when_completed=False)
