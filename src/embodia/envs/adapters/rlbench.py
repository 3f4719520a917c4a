"""RLBench: a hundred tasks for a Panda arm in CoppeliaSim; here the eighteen of the language-conditioned protocol.

An action is a keyframe: absolute pose of the hand and an open or closed gripper, reached by the benchmark's own motion
planner, so a step has no fixed duration and `rate_hz` 1 means one keyframe. A variation (colour, count, place) and its
sentence belong to the episode: the seed draws it. Sources: "RLBench: The Robot Learning Benchmark & Learning
Environment", 2019, arXiv 1909.12271; eighteen tasks as in "Perceiver-Actor", 2022, arXiv 2209.05451.
The one thing to watch: a pose that cannot be reached ends the episode as failed, as published evaluations do it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np

from embodia.core.errors import EnvironmentFailure
from embodia.core.specs import ActionPart, StatePart
from embodia.envs.adapters._foreign import absent, require, seeded, sized, spoken, vector
from embodia.envs.adapters._mujoco import quiet
from embodia.envs.drawing import Image
from embodia.envs.profiles import VisualProfile
from embodia.envs.protocol import CameraView, EnvConfig
from embodia.envs.simulated import Family, Floats, SimulatedEnv

TASKS = (
    "open_drawer",
    "slide_block_to_color_target",
    "sweep_to_dustpan_of_size",
    "meat_off_grill",
    "turn_tap",
    "put_item_in_drawer",
    "close_jar",
    "reach_and_drag",
    "stack_blocks",
    "light_bulb_in",
    "put_money_in_safe",
    "place_wine_at_rack_location",
    "put_groceries_in_cupboard",
    "place_shape_in_shape_sorter",
    "push_buttons",
    "insert_onto_square_peg",
    "stack_cups",
    "place_cups",
)
CAMERAS = ("front", "left_shoulder", "right_shoulder", "wrist", "overhead")
HORIZON = 25

FAMILY = Family(
    environment="rlbench",
    body="panda_keyframes",
    packages=("rlbench", "pyrep"),
    sentences=spoken(TASKS),
    parts=(
        ActionPart(
            name="hand_position",
            dim=3,
            representation="ee_position",
            frame="world",
            units="m",
            low=-1.5,
            high=1.8,
            scale=1.0,
        ),
        ActionPart(name="hand_rotation", dim=4, representation="ee_rotation", frame="world", rotation="quat_xyzw"),
        ActionPart(name="gripper", dim=1, representation="gripper", polarity="positive_opens", low=0.0),
    ),
    state=(
        StatePart(name="hand_position", dim=3, units="m", frame="world"),
        StatePart(name="hand_quat_xyzw", dim=4, frame="world"),
        StatePart(name="gripper_open", dim=1, units="normalized"),
    ),
    rate_hz=1.0,
    horizon=HORIZON,
    views=MappingProxyType({name: CameraView(name=name) for name in CAMERAS}),
    default_cameras=("front", "left_shoulder", "right_shoulder", "wrist"),
    success_rule="the conditions of the task's own success hold after a keyframe",
)


def build(config: EnvConfig) -> SimulatedEnv:
    """The eighteen tasks; the simulator is launched at the first `reset`. Raises `MissingExtraError`."""
    require("rlbench", "rlbench", "RLBench and PyRep")
    return SimulatedEnv(FAMILY, config, Simulation)


class Simulation:
    """One task in a headless CoppeliaSim."""

    def __init__(self, task: str, views: tuple[CameraView, ...], profile: VisualProfile) -> None:
        try:
            with quiet():
                from pyrep.errors import ConfigurationPathError, IKError
                from rlbench.action_modes.action_mode import MoveArmThenGripper
                from rlbench.action_modes.arm_action_modes import EndEffectorPoseViaPlanning
                from rlbench.action_modes.gripper_action_modes import Discrete
                from rlbench.backend.exceptions import InvalidActionError
                from rlbench.backend.utils import task_file_to_task_class
                from rlbench.environment import Environment
                from rlbench.observation_config import ObservationConfig
        except ModuleNotFoundError as error:
            raise absent("rlbench", error.name, "RLBench and PyRep") from error
        self._unreachable = (IKError, ConfigurationPathError, InvalidActionError)
        self._views = views
        cameras = ObservationConfig()
        cameras.set_all_low_dim(True)
        cameras.set_all_high_dim(False)
        for name in {view.source or view.name for view in views}:
            getattr(cameras, f"{name}_camera").rgb = True
        mode = MoveArmThenGripper(EndEffectorPoseViaPlanning(), Discrete())
        self._environment: Any = Environment(mode, obs_config=cameras, headless=True)
        try:
            with quiet():
                self._environment.launch()
                self._task: Any = self._environment.get_task(task_file_to_task_class(f"{task}.py"))
        except RuntimeError as error:
            raise EnvironmentFailure(f"CoppeliaSim cannot show {task}: {error}") from error
        self._sensed: Any = None
        self._sentence, self._success = "", False

    def reset(self, seed: int) -> None:
        """Variation and placement of `seed`."""
        with seeded(seed):
            self._task.set_variation(seed % self._task.variation_count())
            descriptions, self._sensed = self._task.reset()
        self._sentence, self._success = str(descriptions[0]), False

    def step(self, action: Floats) -> tuple[float, bool]:
        """Plan to the keyframe and go there; False where it cannot be reached."""
        target = np.array(action, np.float64)
        length = float(np.linalg.norm(target[3:7]))
        target[3:7] = target[3:7] / length if length > 1e-6 else (0.0, 0.0, 0.0, 1.0)
        try:
            self._sensed, reward, _ = self._task.step(target)
        except self._unreachable:
            return 0.0, False
        self._success = float(reward) >= 1.0
        return float(reward), True

    def holds(self, task: str) -> bool:
        """Whether the task was done after the last keyframe."""
        return self._success

    def sentence(self) -> str:
        """What this variation asks for."""
        return self._sentence

    def proprioception(self) -> Floats:
        """Pose of the hand and opening of the gripper (8,)."""
        return vector(self._sensed.gripper_pose, self._sensed.gripper_open)

    def draw(self) -> dict[str, Image]:
        """The benchmark's pictures."""
        return {
            view.name: sized(getattr(self._sensed, f"{view.source or view.name}_rgb"), view) for view in self._views
        }

    def close(self) -> None:
        """Shut the simulator down."""
        self._environment.shutdown()
