"""SimplerEnv: pictures matched to real robots, so that success here goes with success there.

Two bodies: the Google robot at 3 Hz and the WidowX at 5 Hz, each with the tasks of its published settings; ask for the
tasks of one of them. Actions move the hand in metres and radians, not in units; the sentence is the episode's own.
Sources: "Evaluating Real-World Robot Manipulation Policies in Simulation", 2024, arXiv 2405.05941; API: `simpler_env`.
The one thing to watch: the two grippers differ: the Google robot closes on positive numbers, the WidowX opens.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np

from embodia.core.errors import EnvironmentFailure
from embodia.core.specs import ActionPart, StatePart
from embodia.envs.adapters._foreign import absent, require, sized, spoken, vector
from embodia.envs.adapters._mujoco import quiet
from embodia.envs.drawing import Image
from embodia.envs.profiles import VisualProfile
from embodia.envs.protocol import CameraView, EnvConfig
from embodia.envs.simulated import Family, Floats, SimulatedEnv, body_of

TASKS = MappingProxyType(
    {
        "widowx": (
            "widowx_spoon_on_towel",
            "widowx_carrot_on_plate",
            "widowx_stack_cube",
            "widowx_put_eggplant_in_basket",
        ),
        "google_robot": (
            "google_robot_pick_coke_can",
            "google_robot_pick_horizontal_coke_can",
            "google_robot_pick_vertical_coke_can",
            "google_robot_pick_standing_coke_can",
            "google_robot_move_near",
            "google_robot_open_drawer",
            "google_robot_open_top_drawer",
            "google_robot_open_middle_drawer",
            "google_robot_open_bottom_drawer",
            "google_robot_close_drawer",
            "google_robot_close_top_drawer",
            "google_robot_close_middle_drawer",
            "google_robot_close_bottom_drawer",
            "google_robot_place_apple_in_closed_top_drawer",
        ),
    }
)
CAMERAS = MappingProxyType({"widowx": "3rd_view_camera", "google_robot": "overhead_camera"})
RATES_HZ = MappingProxyType({"widowx": 5.0, "google_robot": 3.0})
HORIZONS = MappingProxyType({"widowx_put_eggplant_in_basket": 120, "widowx_stack_cube": 60})
_REACH_M, _TURN_RAD = 1.0, 1.5707963


def build(config: EnvConfig) -> SimulatedEnv:
    """The tasks of one body; a scene is built at the first `reset`. Raises `ConfigError` for tasks of two bodies."""
    require("simpler", "simpler_env", "SimplerEnv")
    return SimulatedEnv(family(body_of(config.tasks, TASKS)), config, Simulation)


def family(body: str) -> Family:
    """What the benchmark is for one body."""
    return Family(
        environment="simpler",
        body=body,
        packages=("simpler_env", "mani_skill2_real2sim", "sapien"),
        sentences=spoken(TASKS[body]),
        parts=_parts("positive_opens" if body == "widowx" else "positive_closes"),
        state=(
            StatePart(name="hand_position", dim=3, units="m", frame="world"),
            StatePart(name="hand_quat_wxyz", dim=4, frame="world"),
        ),
        rate_hz=RATES_HZ[body],
        horizon=60 if body == "widowx" else 80,
        horizons=HORIZONS,
        views=MappingProxyType({CAMERAS[body]: CameraView(name=CAMERAS[body])}),
        default_cameras=(CAMERAS[body],),
        success_rule="the benchmark's own predicate of the task, true at any step",
    )


def _parts(polarity: Any) -> tuple[ActionPart, ...]:
    return (
        ActionPart(
            name="hand_position",
            dim=3,
            representation="ee_position_delta",
            frame="base",
            units="m",
            low=-_REACH_M,
            high=_REACH_M,
            scale=1.0,
        ),
        ActionPart(
            name="hand_rotation",
            dim=3,
            representation="ee_rotation_delta",
            frame="base",
            rotation="axis_angle",
            units="rad",
            low=-_TURN_RAD,
            high=_TURN_RAD,
            scale=1.0,
        ),
        ActionPart(name="gripper", dim=1, representation="gripper", polarity=polarity),
    )


class Simulation:
    """One prepackaged setting."""

    def __init__(self, task: str, views: tuple[CameraView, ...], profile: VisualProfile) -> None:
        try:
            with quiet():
                import simpler_env
        except ModuleNotFoundError as error:
            raise absent("simpler", error.name, "SimplerEnv") from error
        try:
            with quiet():
                self._env: Any = simpler_env.make(task)
        except (OSError, RuntimeError, ValueError) as error:
            raise EnvironmentFailure(f"{task} cannot be built: {error}", cure="Its assets are a download.") from error
        self._views = views
        self._sensed: Any = {}
        self._success = False

    def reset(self, seed: int) -> None:
        """Objects where setting number `seed` has them."""
        options = {"obj_init_options": {"episode_id": seed}}
        self._sensed, _ = self._env.reset(seed=seed % 2**32, options=options)
        self._success = False

    def step(self, action: Floats) -> tuple[float, bool]:
        """One control period."""
        self._sensed, reward, done, _, info = self._env.step(action.astype(np.float32))
        self._success = bool(info.get("success", done))
        return float(reward), True

    def holds(self, task: str) -> bool:
        """Whether the predicate held after the last step."""
        return self._success

    def sentence(self) -> str:
        """What this episode asks for."""
        return str(self._env.get_language_instruction())

    def proprioception(self) -> Floats:
        """Position and orientation of the hand (7,)."""
        return vector(self._sensed["extra"]["tcp_pose"])

    def draw(self) -> dict[str, Image]:
        """The benchmark's picture, one a view."""
        images = self._sensed["image"]
        return {view.name: sized(images[view.source or view.name]["rgb"], view) for view in self._views}

    def close(self) -> None:
        """Close the scene."""
        self._env.close()
