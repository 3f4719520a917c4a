"""OGBench's manipulation suite: cubes, a locked drawer and window, and lights-out puzzles for a UR5e with a gripper.

The benchmark asks for goals by a goal state; here each of its five evaluation goals in ten scenes is a task with a
sentence that says the goal state: distances are from the robot's base, left and right are the robot's. Colours of cubes
are not permuted, as in the benchmark's single-task variants, so that a sentence stays true. `taskA@taskB` asks for the
goal of A from the start of B, in one scene. Nothing in the pictures shows the goal.
The one thing to watch: the gripper's action is relative too, so it has to be kept closed while something is held.
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

SENTENCES = read(__package__, "_ogbench_language.json")
RATE_HZ = 20.0
GOALS = 5
HORIZONS: Mapping[str, int] = MappingProxyType(
    {
        "cube-single": 200,
        "cube-double": 500,
        "cube-triple": 1000,
        "cube-quadruple": 1000,
        "cube-octuple": 1500,
        "scene": 750,
        "puzzle-3x3": 500,
        "puzzle-4x4": 500,
        "puzzle-4x5": 1000,
        "puzzle-4x6": 1000,
    }
)
"""Scene -> control steps of an episode, the benchmark's own."""


def scene_of(task: str) -> tuple[str, int]:
    """Scene and number of the goal of "cube-single-task1"."""
    scene, _, number = task.rpartition("-task")
    return scene, int(number)


def _partners(task: str) -> tuple[str, ...]:
    scene, number = scene_of(task)
    others = (f"{scene}-task{other}" for other in range(1, GOALS + 1) if other != number)
    return tuple(other for other in others if SENTENCES[other].canonical != SENTENCES[task].canonical)


FAMILY = Family(
    environment="ogbench",
    body="ur5e_robotiq",
    packages=("ogbench", "mujoco", "dm-control"),
    sentences=SENTENCES,
    parts=(
        ActionPart(name="hand_position", dim=3, representation="ee_position_delta", frame="world", scale=0.05),
        ActionPart(
            name="hand_yaw",
            dim=1,
            representation="ee_rotation_delta",
            frame="world",
            rotation="axis_angle",
            scale=0.3,
        ),
        ActionPart(name="gripper", dim=1, representation="gripper", polarity="positive_closes", scale=1.0),
    ),
    state=(
        StatePart(name="joint_position", dim=6, units="rad"),
        StatePart(name="hand_position", dim=3, units="m", frame="world"),
        StatePart(name="hand_yaw", dim=1, units="rad", frame="world"),
        StatePart(name="gripper_closing", dim=1, units="normalized"),
    ),
    rate_hz=RATE_HZ,
    horizon=1000,
    horizons={task: HORIZONS[scene_of(task)[0]] for task in SENTENCES},
    partners={task: _partners(task) for task in SENTENCES},
    views=MappingProxyType(
        {
            "front": CameraView(name="front", source="front_pixels"),
            "wide": CameraView(name="wide", source="front"),
            "side": CameraView(
                name="side", lookat_m=(0.42, 0.0, 0.05), distance_m=0.9, azimuth_deg=90.0, elevation_deg=-35.0
            ),
        }
    ),
    default_cameras=("front",),
    success_rule="every object of the scene is in its goal state at once (positions to 4 cm), at any step",
)


def build(config: EnvConfig) -> SimulatedEnv:
    """An OGBench manipulation environment; the scene is built at the first `reset`."""
    return SimulatedEnv(FAMILY, config, Scene)


class Scene:
    """One of the benchmark's scenes with one of its goals. Raises `MissingExtraError`."""

    def __init__(self, task: str, views: tuple[CameraView, ...], profile: VisualProfile) -> None:
        self.task = task
        scene, self._number = scene_of(task)
        with quiet():
            self.env = _benchmark(scene, self._number)
        self._pictures = Pictures(views, profile)

    def reset(self, seed: int) -> None:
        """Place things under `seed` and clear what the benchmark leaves from its visit to the goal state."""
        import mujoco

        with quiet():
            self.env.reset(seed=seed)
        model, data = self.env._model, self.env._data
        data.ctrl[self.env._arm_actuator_ids] = data.qpos[self.env._arm_joint_ids]
        data.ctrl[self.env._gripper_actuator_ids] = 0.0
        data.qacc_warmstart[:] = 0.0
        data.time = 0.0
        mujoco.mj_forward(model, data)
        mujoco.mj_rnePostConstraint(model, data)
        self.env.pre_step()

    def step(self, action: Floats) -> tuple[float, bool]:
        """One control period of 50 ms: the benchmark's single-task reward, whether physics held."""
        before = divergences(self.env._data)
        with quiet():
            _, reward, _, _, _ = self.env.step(action)
        return float(reward), divergences(self.env._data) == before

    def holds(self, task: str) -> bool:
        """Whether the goal of `task` is reached now."""
        if task == self.task:
            return done(self.env._compute_successes())
        goal = goal_of(self.env, scene_of(task)[1])
        kept = goal_of(self.env, self._number)
        _aim(self.env, goal)
        try:
            return done(self.env._compute_successes())
        finally:
            _aim(self.env, kept)

    def proprioception(self) -> Floats:
        """Joints (6), hand position (3), its yaw (1), closing of the gripper (1)."""
        info = self.env.compute_ob_info()
        names = ("joint_pos", "effector_pos", "effector_yaw", "gripper_opening")
        return np.concatenate([info[f"proprio/{name}"] for name in names])

    def draw(self) -> dict[str, Image]:
        """One upright picture a view."""
        return self._pictures.draw(self.env._model, self.env._data)

    def close(self) -> None:
        """Free graphics memory."""
        self._pictures.close()


def goal_of(env: Any, number: int) -> dict[str, Any]:
    """The goal of the benchmark's task `number`: cube places, button states, drawer and window, where it has them."""
    info = env.task_infos[number - 1]
    goal = info.get("goal", info)
    names = (
        ("cubes", ("goal_xyzs", "block_xyzs")),
        ("buttons", ("goal_button_states", "button_states")),
        ("drawer", ("drawer_pos",)),
        ("window", ("window_pos",)),
    )
    return {kind: goal[key] for kind, keys in names for key in keys if key in goal}


def done(successes: Any) -> bool:
    """Whether all of the benchmark's verdicts, lists nested or not, are true."""
    return bool(np.all(np.concatenate([np.ravel(np.asarray(item, bool)) for item in successes])))


def _aim(env: Any, goal: Mapping[str, Any]) -> None:
    for index, place in enumerate(goal.get("cubes", ())):
        env._data.mocap_pos[env._cube_target_mocap_ids[index]] = place
    if "buttons" in goal:
        env._target_button_states = np.array(goal["buttons"])
    for name in ("drawer", "window"):
        if name in goal:
            setattr(env, f"_target_{name}_pos", goal[name])


def _benchmark(scene: str, number: int) -> Any:
    choose_opengl()
    try:
        from ogbench.manipspace.envs.cube_env import CubeEnv
        from ogbench.manipspace.envs.puzzle_env import PuzzleEnv
        from ogbench.manipspace.envs.scene_env import SceneEnv
    except ModuleNotFoundError as error:
        raise missing("ogbench", error) from error
    kind, _, size = scene.partition("-")
    options: dict[str, Any] = {"reward_task_id": number, "terminate_at_goal": False, "visualize_info": False}
    if kind == "puzzle":
        return PuzzleEnv(size, **options)
    return {"cube": CubeEnv, "scene": SceneEnv}[kind](size or "scene", permute_blocks=False, **options)
