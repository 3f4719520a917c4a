"""gym-aloha: two ViperX arms at a table, a cube to hand over and a peg to insert.

Actions are absolute joint positions in radians and gripper openings, 0 closed and 1 open, at 50 Hz. The benchmark draws
three pictures of 640 x 480 at every step; here its physics, start poses and stage rewards are used and nothing is drawn
unless asked for. Rewards are stages, 0 to 4, and 4 is success.
The one thing to watch: success is a contact (left finger on the lifted cube, peg on the pin), so it can hold for one
step only; an episode counts as soon as it has.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np

from embodia.core.errors import EnvironmentFailure
from embodia.envs.adapters._mujoco import Pictures, divergences, missing, quiet
from embodia.envs.adapters._two_arms import joint_actions, joint_state
from embodia.envs.drawing import Image, choose_opengl
from embodia.envs.profiles import VisualProfile
from embodia.envs.protocol import CameraView, EnvConfig
from embodia.envs.sentences import read
from embodia.envs.simulated import Family, Floats, SimulatedEnv

RATE_HZ = 50.0
HORIZON = 300
SUCCESS_REWARD = 4.0
JOINT_LIMIT_RAD = 3.14158
_SCENES = MappingProxyType({"transfer-cube": "transfer_cube", "insertion": "insertion"})
_VIEWS = ("top", "angle", "front_close", "left_pillar", "right_pillar", "left_wrist", "right_wrist")

FAMILY = Family(
    environment="gym_aloha",
    body="aloha_viperx",
    packages=("gym-aloha", "mujoco", "dm-control"),
    sentences=read(__package__, "_gym_aloha_language.json"),
    parts=joint_actions(JOINT_LIMIT_RAD),
    state=joint_state(),
    rate_hz=RATE_HZ,
    horizon=HORIZON,
    views=MappingProxyType({name: CameraView(name=name) for name in _VIEWS}),
    default_cameras=("top",),
    success_rule="the benchmark's stage reward reaches 4 at any step",
)


def build(config: EnvConfig) -> SimulatedEnv:
    """The two tasks; a scene is built at the first `reset`. Raises `MissingExtraError` there."""
    return SimulatedEnv(FAMILY, config, Simulation)


class Simulation:
    """One task's physics, judged by the benchmark's own reward."""

    def __init__(self, task: str, views: tuple[CameraView, ...], profile: VisualProfile) -> None:
        choose_opengl()
        try:
            with quiet():
                from dm_control import mujoco
                from dm_control.rl.control import PhysicsError
                from gym_aloha import constants, utils
                from gym_aloha.tasks import sim
        except ModuleNotFoundError as error:
            raise missing("gym_aloha", error) from error
        scene = _SCENES[task]
        self._name, self._module, self._utils, self._diverged = task, sim, utils, PhysicsError
        path = constants.ASSETS_DIR / f"bimanual_viperx_{scene}.xml"
        try:
            self.physics: Any = mujoco.Physics.from_xml_path(str(path))
        except (OSError, ValueError) as error:
            raise EnvironmentFailure(f"the scene cannot be built: {error}", file=path) from error
        self._task = (sim.TransferCubeTask if scene == "transfer_cube" else sim.InsertionTask)()
        self._substeps = round(1.0 / RATE_HZ / self.physics.timestep())
        self._pictures = Pictures(views, profile)
        self._reward = 0.0

    @property
    def model(self) -> Any:
        """The MuJoCo model."""
        return self.physics.model.ptr

    @property
    def data(self) -> Any:
        """The MuJoCo data."""
        return self.physics.data.ptr

    def reset(self, seed: int) -> None:
        """Arms at rest, objects where the benchmark's own sampler puts them under `seed`."""
        if self._name == "transfer-cube":
            pose = self._utils.sample_box_pose(seed % 2**32)
        else:
            pose = np.concatenate(self._utils.sample_insertion_pose(seed % 2**32))
        self._module.BOX_POSE[0] = pose
        with self.physics.reset_context():
            self._task.initialize_episode(self.physics)
        self._reward = float(self._task.get_reward(self.physics))

    def step(self, action: Floats) -> tuple[float, bool]:
        """Ten physics steps of 2 ms towards the joint targets; the stage that is reached, whether physics held."""
        before = divergences(self.data)
        self._task.before_step(action, self.physics)
        try:
            with quiet():
                self.physics.step(self._substeps)
        except self._diverged:
            self._reward = 0.0
            return 0.0, False
        self._reward = float(self._task.get_reward(self.physics))
        return self._reward, divergences(self.data) == before

    def holds(self, task: str) -> bool:
        """Whether the last stage is reached now."""
        return self._reward >= SUCCESS_REWARD

    def proprioception(self) -> Floats:
        """Joint positions and gripper openings, left then right (14,)."""
        return np.asarray(self._task.get_qpos(self.physics), np.float64)

    def draw(self) -> dict[str, Image]:
        """One picture a view."""
        return self._pictures.draw(self.model, self.data)

    def close(self) -> None:
        """Free the graphics context and the physics."""
        self._pictures.close()
        self.physics.free()
