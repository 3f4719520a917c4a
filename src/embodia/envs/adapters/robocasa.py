"""RoboCasa: everyday tasks in generated kitchens for a Panda arm on a mobile base (robosuite 1.5).

The seed draws kitchen, style, objects and their places; the sentence is the episode's own. Actions move the hand
relative to where it is, then the gripper, the base, the torso, and a switch: positive drives, otherwise the arm moves.
Source: "RoboCasa: Large-Scale Simulation of Everyday Tasks for Generalist Robots", 2024, arXiv 2406.02523.
The one thing to watch: every reset builds a kitchen anew, which takes seconds.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np

from embodia.core.errors import EnvironmentFailure
from embodia.core.specs import ActionPart, StatePart
from embodia.envs.adapters._foreign import absent, pose_delta, require, seeded, sized, spoken, vector
from embodia.envs.adapters._mujoco import quiet
from embodia.envs.drawing import Image, choose_opengl
from embodia.envs.profiles import VisualProfile
from embodia.envs.protocol import CameraView, EnvConfig
from embodia.envs.simulated import Family, Floats, SimulatedEnv

TASKS = (
    "PnPCounterToCab",
    "PnPCabToCounter",
    "PnPCounterToSink",
    "PnPSinkToCounter",
    "PnPCounterToMicrowave",
    "PnPMicrowaveToCounter",
    "PnPCounterToStove",
    "PnPStoveToCounter",
    "OpenSingleDoor",
    "CloseSingleDoor",
    "OpenDoubleDoor",
    "CloseDoubleDoor",
    "OpenDrawer",
    "CloseDrawer",
    "TurnOnStove",
    "TurnOffStove",
    "TurnOnSinkFaucet",
    "TurnOffSinkFaucet",
    "TurnSinkSpout",
    "CoffeePressButton",
    "TurnOnMicrowave",
    "TurnOffMicrowave",
    "CoffeeServeMug",
    "CoffeeSetupMug",
)
"""The benchmark's 24 atomic tasks."""
CAMERAS = ("robot0_agentview_left", "robot0_agentview_right", "robot0_eye_in_hand")
ROBOT = "PandaOmron"
RATE_HZ = 20.0
HORIZON = 500
_STATE = (
    ("robot0_base_to_eef_pos", 3, "m", "base"),
    ("robot0_base_to_eef_quat", 4, "none", "base"),
    ("robot0_gripper_qpos", 2, "m", "none"),
    ("robot0_base_pos", 3, "m", "world"),
    ("robot0_base_quat", 4, "none", "world"),
)

FAMILY = Family(
    environment="robocasa",
    body="panda_omron",
    packages=("robocasa", "robosuite", "mujoco"),
    sentences=spoken(TASKS),
    parts=(
        *pose_delta(position_m=0.05, rotation_rad=0.5),
        ActionPart(name="gripper", dim=1, representation="gripper", polarity="positive_closes"),
        ActionPart(name="base", dim=3, representation="base_velocity", frame="base"),
        ActionPart(name="torso", dim=1, representation="joint_velocity"),
        ActionPart(name="drive", dim=1, representation="base_velocity"),
    ),
    state=tuple(
        StatePart(name=name.removeprefix("robot0_"), dim=dim, units=units, frame=frame)  # type: ignore[arg-type]
        for name, dim, units, frame in _STATE
    ),
    rate_hz=RATE_HZ,
    horizon=HORIZON,
    views=MappingProxyType({name: CameraView(name=name) for name in CAMERAS}),
    default_cameras=CAMERAS,
    success_rule="the benchmark's own predicate of the task, true at any step",
)


def build(config: EnvConfig) -> SimulatedEnv:
    """The atomic tasks; a kitchen is built at the first `reset`. Raises `MissingExtraError`."""
    require("robocasa", "robocasa", "RoboCasa")
    return SimulatedEnv(FAMILY, config, Simulation)


class Simulation:
    """One task in kitchens."""

    def __init__(self, task: str, views: tuple[CameraView, ...], profile: VisualProfile) -> None:
        choose_opengl()
        try:
            with quiet():
                import robocasa  # noqa: F401
                import robosuite
                from robosuite.controllers import load_composite_controller_config
        except ModuleNotFoundError as error:
            raise absent("robocasa", error.name, "RoboCasa") from error
        try:
            with quiet():
                self._env: Any = robosuite.make(
                    env_name=task,
                    robots=ROBOT,
                    controller_configs=load_composite_controller_config(controller=None, robot=ROBOT),
                    camera_names=list(CAMERAS),
                    has_renderer=False,
                    has_offscreen_renderer=True,
                    use_camera_obs=False,
                    use_object_obs=True,
                    ignore_done=True,
                    control_freq=RATE_HZ,
                    seed=0,
                )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise EnvironmentFailure(
                f"{task} cannot be built: {error}", cure="Its kitchens are a download: see robocasa's own scripts."
            ) from error
        expected = sum(part.dim for part in FAMILY.parts)
        if len(self._env.action_spec[0]) != expected:
            raise EnvironmentFailure(f"{ROBOT} takes {len(self._env.action_spec[0])} numbers here, not {expected}")
        self._views = views
        self._sensed: Any = {}

    def reset(self, seed: int) -> None:
        """The kitchen of `seed`."""
        self._env.rng = np.random.default_rng(seed)
        with seeded(seed), quiet():
            self._sensed = self._env.reset()

    def step(self, action: Floats) -> tuple[float, bool]:
        """One control period of 50 ms."""
        self._sensed, reward, _, _ = self._env.step(action)
        return float(reward), bool(np.isfinite(self.proprioception()).all())

    def holds(self, task: str) -> bool:
        """Whether the task is done now."""
        return bool(self._env._check_success())

    def sentence(self) -> str:
        """What this kitchen's episode asks for."""
        return str(self._env.get_ep_meta().get("lang", ""))

    def proprioception(self) -> Floats:
        """Hand against base, fingers, base against world (16,)."""
        return vector(*(self._sensed[name] for name, _, _, _ in _STATE))

    def draw(self) -> dict[str, Image]:
        """One picture a view, turned upright."""
        found = {}
        for view in self._views:
            rows, columns = view.drawn
            drawn = self._env.sim.render(height=rows, width=columns, camera_name=view.source or view.name)
            found[view.name] = sized(np.asarray(drawn)[::-1], view)
        return found

    def close(self) -> None:
        """Close the kitchen."""
        self._env.close()
