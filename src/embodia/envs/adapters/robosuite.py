"""robosuite's own tasks for one Panda arm and for two that face each other.

Actions are the operational-space controller's: a displacement and a turn of the hand in world axes (1 = 0.05 m or
0.5 rad a step) and a gripper whose sign alone counts. The first arm's seven numbers come before the second's. One
environment holds tasks of one body: name two-arm tasks to get the two-arm contract.
The one thing to watch: the benchmark draws placements from numpy's global generator and keeps parts of an episode in
its robots; both are put right around each reset. The model is built once, so the hammer of the handover has one size.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from embodia.core.errors import EnvironmentFailure
from embodia.core.seeds import derive_seed
from embodia.core.specs import ActionPart, StatePart
from embodia.envs.adapters._foreign import pose_delta, seeded
from embodia.envs.adapters._mujoco import Pictures, divergences, missing, quiet
from embodia.envs.adapters._robosuite_arm import ArmControl
from embodia.envs.adapters._robosuite_settings import without_log_file
from embodia.envs.drawing import Image, choose_opengl
from embodia.envs.profiles import VisualProfile
from embodia.envs.protocol import CameraView, EnvConfig
from embodia.envs.sentences import read
from embodia.envs.simulated import Family, Floats, SimulatedEnv, body_of

SENTENCES = read(__package__, "_robosuite_language.json")
RATE_HZ = 20.0
HORIZON = 500
ONE_ARM = ("Lift", "Stack", "PickPlaceCan", "NutAssemblySquare", "Door")
TWO_ARMS = ("TwoArmLift", "TwoArmHandover")
BODIES: Mapping[str, tuple[str, ...]] = MappingProxyType({"panda": ONE_ARM, "two_pandas": TWO_ARMS})
_ATTEMPTS = 20
_HIDDEN_GEOM_GROUPS = (0,)
_SCENE_VIEWS = ("agentview", "frontview", "sideview", "birdview")


def _family(body: str) -> Family:
    arms = 1 if body == "panda" else 2
    wrists = {f"wrist{arm or ''}": f"robot{arm}_eye_in_hand" for arm in range(arms)}
    views = {name: CameraView(name=name) for name in _SCENE_VIEWS}
    views.update({name: CameraView(name=name, source=source) for name, source in wrists.items()})
    return Family(
        environment="robosuite",
        body=body,
        packages=("robosuite", "mujoco"),
        sentences={task: SENTENCES[task] for task in BODIES[body]},
        parts=tuple(part for arm in range(arms) for part in _action_parts(_prefix(arm, arms))),
        state=tuple(part for arm in range(arms) for part in _state_parts(_prefix(arm, arms))),
        rate_hz=RATE_HZ,
        horizon=HORIZON,
        views=MappingProxyType(views),
        default_cameras=("agentview" if arms == 1 else "frontview", *wrists),
        success_rule="the benchmark's own success check of the task, true at any step of the episode",
    )


def _prefix(arm: int, arms: int) -> str:
    return "" if arms == 1 else ("first_", "second_")[arm]


def _action_parts(prefix: str) -> tuple[ActionPart, ...]:
    return (
        *pose_delta(position_m=0.05, rotation_rad=0.5, frame="world", prefix=prefix),
        ActionPart(name=f"{prefix}gripper", dim=1, representation="gripper", polarity="positive_closes"),
    )


def _state_parts(prefix: str) -> tuple[StatePart, ...]:
    return (
        StatePart(name=f"{prefix}joint_position", dim=7, units="rad"),
        StatePart(name=f"{prefix}hand_position", dim=3, units="m", frame="world"),
        StatePart(name=f"{prefix}hand_quaternion_wxyz", dim=4, frame="world"),
        StatePart(name=f"{prefix}finger_position", dim=2, units="m"),
    )


FAMILIES: Mapping[str, Family] = MappingProxyType({body: _family(body) for body in BODIES})


def build(config: EnvConfig) -> SimulatedEnv:
    """A robosuite environment of the body its tasks need; by default the one-arm tasks. Raises `ConfigError`."""
    return SimulatedEnv(FAMILIES[body_of(config.tasks, BODIES)], config, Scene)


class Scene:
    """One of the benchmark's tasks. Raises `MissingExtraError`, `EnvironmentFailure`."""

    def __init__(self, task: str, views: tuple[CameraView, ...], profile: VisualProfile) -> None:
        self.task = task
        with quiet(), seeded(derive_seed(0, "robosuite", task)):
            self.env = _benchmark(task)
        self._control = ArmControl(self.env)
        self._pictures = Pictures(views, profile, hidden=_HIDDEN_GEOM_GROUPS)

    def reset(self, seed: int) -> None:
        """Place things under `seed`; a placement that the benchmark cannot make is drawn anew."""
        from robosuite.utils.errors import RandomizationError

        for attempt in range(_ATTEMPTS):
            for robot in self.env.robots:
                robot.gripper.current_action = np.zeros(robot.gripper.dof)
            with (
                quiet(),
                seeded(derive_seed(seed, "robosuite", attempt)),
                contextlib.suppress(RandomizationError),
            ):
                self.env.reset()
                return
        raise EnvironmentFailure(f"objects of {self.task} could not be placed in {_ATTEMPTS} attempts")

    def step(self, action: Floats) -> tuple[float, bool]:
        """One control period of 50 ms: the benchmark's shaped reward, whether physics held."""
        before = divergences(self._data)
        try:
            reward = self._control.step(action)
        except (ValueError, RuntimeError, ArithmeticError) as error:
            raise EnvironmentFailure(f"robosuite cannot be stepped: {error}") from error
        return reward, divergences(self._data) == before

    def holds(self, task: str) -> bool:
        """Whether the benchmark's success check holds now."""
        return bool(self.env._check_success())

    def proprioception(self) -> Floats:
        """For each arm: joints (7), hand position (3) and quaternion (4), fingers (2)."""
        return np.concatenate([self._arm(robot) for robot in self.env.robots])

    def draw(self) -> dict[str, Image]:
        """One upright picture a view."""
        return self._pictures.draw(self.env.sim.model._model, self._data)

    def close(self) -> None:
        """Free graphics memory and the benchmark's scene."""
        self._pictures.close()
        self.env.close()

    @property
    def _data(self) -> Any:
        return self.env.sim.data._data

    def _arm(self, robot: Any) -> Floats:
        data = self.env.sim.data
        return np.concatenate(
            [
                data.qpos[robot._ref_joint_pos_indexes],
                data.site_xpos[robot.eef_site_id],
                data.get_body_xquat(robot.robot_model.eef_name),
                data.qpos[robot._ref_gripper_joint_pos_indexes],
            ]
        )


def _benchmark(task: str) -> Any:
    choose_opengl()
    try:
        without_log_file()
        import robosuite
    except ModuleNotFoundError as error:
        raise missing("robosuite", error) from error
    two = task in TWO_ARMS
    return robosuite.make(
        task,
        robots=["Panda", "Panda"] if two else "Panda",
        controller_configs=robosuite.load_controller_config(default_controller="OSC_POSE"),
        has_renderer=False,
        has_offscreen_renderer=False,
        use_camera_obs=False,
        use_object_obs=False,
        reward_shaping=True,
        control_freq=RATE_HZ,
        horizon=10**9,
        ignore_done=True,
        hard_reset=False,
        **({"env_configuration": "single-arm-opposed"} if two else {}),
    )
