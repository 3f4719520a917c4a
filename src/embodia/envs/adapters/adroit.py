"""The Adroit hand's four tasks of gymnasium-robotics under one contract: door, hammer, pen, relocate.

The benchmark moves different joints of the arm in each task. Here one contract of 30 joints (three slides and three
turns of the forearm, two of the wrist, 22 of the fingers) serves all: a joint that a task holds fixed ignores its
action and reads zero. An action of -1 or 1 is the end of an actuator's range, as in the benchmark.
The one thing to watch: goals are drawn (the nail, the translucent pen, the green ball); no expert ships, and a script
for 24 joints in contact is not simple, so there is none.
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

SENTENCES = read(__package__, "_adroit_language.json")
RATE_HZ = 100.0
HORIZON = 200
_ARM = ("ARTx", "ARTy", "ARTz", "ARRx", "ARRy", "ARRz")
_WRIST = ("WRJ1", "WRJ0")
_FINGERS = tuple(
    f"{finger}J{joint}"
    for finger, joints in (("FF", 4), ("MF", 4), ("RF", 4), ("LF", 5), ("TH", 5))
    for joint in reversed(range(joints))
)
JOINTS = (*_ARM, *_WRIST, *_FINGERS)
"""The thirty joints in the order of the contract."""
_DOOR_OPEN_RAD, _NAIL_M, _PEN_M, _PEN_COSINE, _BALL_M = 1.35, 0.01, 0.075, 0.95, 0.1

FAMILY = Family(
    environment="adroit",
    body="adroit_hand",
    packages=("gymnasium-robotics", "mujoco"),
    sentences=SENTENCES,
    parts=(
        ActionPart(name="forearm", dim=6, representation="joint_position"),
        ActionPart(name="hand", dim=24, representation="hand_joint_position"),
    ),
    state=(
        StatePart(name="forearm_slides", dim=3, units="m"),
        StatePart(name="forearm_turns", dim=3, units="rad"),
        StatePart(name="hand_joints", dim=24, units="rad"),
    ),
    rate_hz=RATE_HZ,
    horizon=HORIZON,
    views=MappingProxyType(
        {
            "front": CameraView(name="front", source="vil_camera"),
            "fixed": CameraView(name="fixed"),
            "benchmark": CameraView(
                name="benchmark", lookat_m=(0.0, 0.0, 0.2), distance_m=1.5, azimuth_deg=90.0, elevation_deg=-45.0
            ),
        }
    ),
    default_cameras=("front",),
    success_rule="the benchmark's own predicate of the task, true at any step of the episode",
)


def build(config: EnvConfig) -> SimulatedEnv:
    """An Adroit environment; the scene is built at the first `reset`."""
    return SimulatedEnv(FAMILY, config, Scene)


class Scene:
    """One of the benchmark's tasks. Raises `MissingExtraError`."""

    def __init__(self, task: str, views: tuple[CameraView, ...], profile: VisualProfile) -> None:
        self.task = task
        with quiet():
            self.env = _benchmark(task)
        model = self.env.model
        moved = {model.actuator(index).name.removeprefix("A_"): index for index in range(model.nu)}
        self._order = np.array([JOINTS.index(name) for name in sorted(moved, key=lambda name: moved[name])])
        self._address = np.array([model.joint(JOINTS[index]).qposadr[0] for index in self._order])
        self._pictures = Pictures(views, profile)

    def reset(self, seed: int) -> None:
        """Place things under `seed`."""
        self.env.reset(seed=seed)
        self.env.data.qacc_warmstart[:] = 0.0

    def step(self, action: Floats) -> tuple[float, bool]:
        """One control period of 10 ms: the benchmark's dense reward, whether physics held."""
        before = divergences(self.env.data)
        _, reward, _, _, _ = self.env.step(action[self._order])
        return float(np.squeeze(reward)), divergences(self.env.data) == before

    def holds(self, task: str) -> bool:
        """Whether the benchmark's predicate holds now."""
        return _PREDICATES[self.task](self.env)

    def proprioception(self) -> Floats:
        """The thirty joints; zero for those that this task holds fixed."""
        found = np.zeros(len(JOINTS))
        found[self._order] = self.env.data.qpos[self._address]
        return found

    def draw(self) -> dict[str, Image]:
        """One upright picture a view."""
        return self._pictures.draw(self.env.model, self.env.data)

    def close(self) -> None:
        """Free graphics memory."""
        self._pictures.close()


def _door(env: Any) -> bool:
    return bool(env.data.qpos[env.door_hinge_addrs] >= _DOOR_OPEN_RAD)


def _hammer(env: Any) -> bool:
    places = env.data.site_xpos
    return bool(np.linalg.norm(places[env.target_obj_site_id] - places[env.goal_site_id]) < _NAIL_M)


def _pen(env: Any) -> bool:
    places = env.data.site_xpos
    pen = (places[env.obj_t_site_id] - places[env.obj_b_site_id]) / env.pen_length
    wanted = (places[env.tar_t_site_id] - places[env.tar_b_site_id]) / env.tar_length
    near = np.linalg.norm(env.data.xpos[env.obj_body_id] - places[env.eps_ball_site_id]) < _PEN_M
    return bool(near and pen @ wanted > _PEN_COSINE)


def _relocate(env: Any) -> bool:
    away = env.data.xpos[env.obj_body_id] - env.data.site_xpos[env.target_obj_site_id]
    return bool(np.linalg.norm(away) < _BALL_M)


_PREDICATES = MappingProxyType(
    {
        "AdroitHandDoor": _door,
        "AdroitHandHammer": _hammer,
        "AdroitHandPen": _pen,
        "AdroitHandRelocate": _relocate,
    }
)


def _benchmark(task: str) -> Any:
    choose_opengl()
    try:
        from gymnasium_robotics.envs import adroit_hand
    except ModuleNotFoundError as error:
        raise missing("adroit", error) from error
    classes = {
        "AdroitHandDoor": adroit_hand.AdroitHandDoorEnv,
        "AdroitHandHammer": adroit_hand.AdroitHandHammerEnv,
        "AdroitHandPen": adroit_hand.AdroitHandPenEnv,
        "AdroitHandRelocate": adroit_hand.AdroitHandRelocateEnv,
    }
    return classes[task]()
