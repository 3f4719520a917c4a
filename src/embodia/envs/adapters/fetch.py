"""The Fetch arm's goal tasks of gymnasium-robotics: reach, push, slide, pick and place.

The goal is drawn as the benchmark draws it, a red ball, and sentences speak of the red mark; it is put where it belongs
once, at reset, so that drawing never touches the physics. Actions move the hand in world axes (1 = 0.05 m a step).
The one thing to watch: a positive gripper action opens, and in reaching, pushing and sliding the gripper is held shut.
"""

from __future__ import annotations

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

SENTENCES = read(__package__, "_fetch_language.json")
RATE_HZ = 25.0
HORIZON = 50
_FINGERS = ("robot0:r_gripper_finger_joint", "robot0:l_gripper_finger_joint")
_LOOKAT_M = (1.3, 0.75, 0.45)

FAMILY = Family(
    environment="fetch",
    body="fetch",
    packages=("gymnasium-robotics", "mujoco"),
    sentences=SENTENCES,
    parts=(
        ActionPart(name="hand_position", dim=3, representation="ee_position_delta", frame="world", scale=0.05),
        ActionPart(name="gripper", dim=1, representation="gripper", polarity="positive_opens"),
    ),
    state=(
        StatePart(name="hand_position", dim=3, units="m", frame="world"),
        StatePart(name="finger_position", dim=2, units="m"),
    ),
    rate_hz=RATE_HZ,
    horizon=HORIZON,
    views=MappingProxyType(
        {
            "front": CameraView(
                name="front", lookat_m=_LOOKAT_M, distance_m=1.3, azimuth_deg=180.0, elevation_deg=-40.0
            ),
            "side": CameraView(name="side", lookat_m=_LOOKAT_M, distance_m=1.3, azimuth_deg=90.0, elevation_deg=-25.0),
            "benchmark": CameraView(
                name="benchmark", lookat_m=(1.3, 0.75, 0.55), distance_m=2.5, azimuth_deg=132.0, elevation_deg=-14.0
            ),
            "wrist": CameraView(name="wrist", source="gripper_camera_rgb"),
        }
    ),
    default_cameras=("front", "side"),
    success_rule="the benchmark's own: hand or object within 5 cm of the goal, true at any step of the episode",
)


def build(config: EnvConfig) -> SimulatedEnv:
    """A Fetch environment; the scene is built at the first `reset`."""
    return SimulatedEnv(FAMILY, config, Scene)


class Scene:
    """One of the benchmark's tasks. Raises `MissingExtraError`."""

    def __init__(self, task: str, views: tuple[CameraView, ...], profile: VisualProfile) -> None:
        with quiet():
            self.env = _benchmark(task)
        self._pictures = Pictures(views, profile)

    def reset(self, seed: int) -> None:
        """Place things under `seed` and put the mark at the goal."""
        import mujoco

        self.env.reset(seed=seed)
        site = self.env.model.site("target0").id
        self.env.model.site_pos[site] = self.env.goal - self.env.data.xpos[self.env.model.site_bodyid[site]]
        mujoco.mj_forward(self.env.model, self.env.data)
        self.env.data.qacc_warmstart[:] = 0.0

    def step(self, action: Floats) -> tuple[float, bool]:
        """One control period of 40 ms: the benchmark's reward, whether physics held."""
        before = divergences(self.env.data)
        _, reward, _, _, _ = self.env.step(action)
        return float(reward), divergences(self.env.data) == before

    def holds(self, task: str) -> bool:
        """Whether hand or object is at the goal now."""
        return bool(self.env._is_success(self.achieved, self.env.goal))

    @property
    def achieved(self) -> Floats:
        """Where the thing is that has to reach the goal (3,): the object, or the hand where there is none."""
        return np.array(self.env.data.site("object0" if self.env.has_object else "robot0:grip").xpos)

    @property
    def hand(self) -> Floats:
        """The hand's place (3,)."""
        return np.array(self.env.data.site("robot0:grip").xpos)

    def proprioception(self) -> Floats:
        """Hand position (3) and fingers (2)."""
        fingers = [self.env.data.joint(name).qpos[0] for name in _FINGERS]
        return np.concatenate([self.hand, fingers])

    def draw(self) -> dict[str, Image]:
        """One upright picture a view."""
        return self._pictures.draw(self.env.model, self.env.data)

    def close(self) -> None:
        """Free graphics memory."""
        self._pictures.close()


def _benchmark(task: str) -> Any:
    choose_opengl()
    try:
        from gymnasium_robotics.envs.fetch.pick_and_place import MujocoFetchPickAndPlaceEnv
        from gymnasium_robotics.envs.fetch.push import MujocoFetchPushEnv
        from gymnasium_robotics.envs.fetch.reach import MujocoFetchReachEnv
        from gymnasium_robotics.envs.fetch.slide import MujocoFetchSlideEnv
    except ModuleNotFoundError as error:
        raise missing("fetch", error) from error
    classes = {
        "FetchReach": MujocoFetchReachEnv,
        "FetchPush": MujocoFetchPushEnv,
        "FetchSlide": MujocoFetchSlideEnv,
        "FetchPickAndPlace": MujocoFetchPickAndPlaceEnv,
    }
    return classes[task]()
