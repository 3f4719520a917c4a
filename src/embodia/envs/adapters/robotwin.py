"""RoboTwin 2.0: fifty tasks for two arms, from a checkout of the benchmark (it is no package).

Actions are absolute joint positions of both arms in radians and gripper openings, 0 closed and 1 open; the benchmark
moves there with its own time-optimal planner, so a step lasts as long as the arms need and the rate is that of its
recordings. Options: `checkout`, the folder of the benchmark, and `setting`, a file of its `task_config` (default
`demo_clean`, `demo_randomized` for the hard level). Source: "RoboTwin 2.0: A Scalable Data Generator and Benchmark with
Strong Domain Randomization for Robust Bimanual Robotic Manipulation", 2025, arXiv 2506.18088.
The one thing to watch: the benchmark skips seeds on which its own expert fails; here every seed counts, so hand it a
list of solvable seeds when a published number is to be met.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from embodia.core.errors import CorruptFileError, EnvironmentFailure, MissingExtraError, MissingFileError
from embodia.core.names import Folder
from embodia.envs.adapters._foreign import absent, seeded, sized, spoken, vector
from embodia.envs.adapters._mujoco import quiet
from embodia.envs.adapters._two_arms import joint_actions, joint_state
from embodia.envs.drawing import Image
from embodia.envs.profiles import VisualProfile
from embodia.envs.protocol import CameraView, EnvConfig
from embodia.envs.simulated import Family, Floats, SimulatedEnv, refuse_options

TASKS = (
    "adjust_bottle",
    "beat_block_hammer",
    "blocks_ranking_rgb",
    "blocks_ranking_size",
    "click_alarmclock",
    "click_bell",
    "dump_bin_bigbin",
    "grab_roller",
    "handover_block",
    "handover_mic",
    "hanging_mug",
    "lift_pot",
    "move_can_pot",
    "move_pillbottle_pad",
    "move_playingcard_away",
    "move_stapler_pad",
    "open_laptop",
    "open_microwave",
    "pick_diverse_bottles",
    "pick_dual_bottles",
    "place_a2b_left",
    "place_a2b_right",
    "place_bread_basket",
    "place_bread_skillet",
    "place_burger_fries",
    "place_can_basket",
    "place_cans_plasticbox",
    "place_container_plate",
    "place_dual_shoes",
    "place_empty_cup",
    "place_fan",
    "place_mouse_pad",
    "place_object_basket",
    "place_object_scale",
    "place_object_stand",
    "place_phone_stand",
    "place_shoe",
    "press_stapler",
    "put_bottles_dustbin",
    "put_object_cabinet",
    "rotate_qrcode",
    "scan_object",
    "shake_bottle",
    "shake_bottle_horizontally",
    "stack_blocks_three",
    "stack_blocks_two",
    "stack_bowls_three",
    "stack_bowls_two",
    "stamp_seal",
    "turn_switch",
)
CAMERAS = ("head_camera", "left_camera", "right_camera")
RATE_HZ = 250.0 / 15.0
HORIZON = 400
_OPTIONS = ("checkout", "setting")
_LIMIT_RAD = 3.2

FAMILY = Family(
    environment="robotwin",
    body="aloha_agilex",
    packages=("sapien", "mplib"),
    sentences=spoken(TASKS),
    parts=joint_actions(_LIMIT_RAD),
    state=joint_state(),
    rate_hz=RATE_HZ,
    horizon=HORIZON,
    views=MappingProxyType({name: CameraView(name=name) for name in CAMERAS}),
    default_cameras=CAMERAS,
    success_rule="the benchmark's own check of the task, true after any action",
)


def build(config: EnvConfig) -> SimulatedEnv:
    """The fifty tasks; a scene is built at the first `reset`. Raises `MissingExtraError` without a checkout."""
    refuse_options("robotwin", config, _OPTIONS)
    options = dict(config.options or {})
    if not options.get("checkout"):
        raise MissingExtraError(
            "robotwin needs a checkout of the benchmark", cure="Name its folder in the option checkout."
        )
    plain = replace(config, options=None)
    return SimulatedEnv(FAMILY, plain, partial(Simulation, options=options))


class Simulation:
    """One task."""

    def __init__(
        self, task: str, views: tuple[CameraView, ...], profile: VisualProfile, options: Mapping[str, str]
    ) -> None:
        root = Path(options["checkout"])
        if not (root / "envs" / f"{task}.py").is_file():
            raise MissingFileError("no task of that name in the checkout", file=root / "envs" / f"{task}.py")
        self._settings = settings(root, options.get("setting", "demo_clean"), task)
        self._sentence = described(root / "description" / "task_instruction" / f"{task}.json")
        self._env: Any = getattr(_module(root, task), task)()
        self._root, self._views, self._open, self._success = root, views, False, False
        self._sensed: Any = {}

    def reset(self, seed: int) -> None:
        """The scene of `seed`."""
        self.close()
        with seeded(seed), quiet(), contextlib.chdir(self._root):
            try:
                self._env.setup_demo(now_ep_num=0, seed=seed, is_test=True, **self._settings)
            except (RuntimeError, ValueError, OSError) as error:
                raise EnvironmentFailure(f"seed {seed} cannot be set up: {error}", file=self._root) from error
            self._env.set_instruction(instruction=self._sentence)
            self._sensed = self._env.get_obs()
        self._open, self._success = True, False

    def step(self, action: Floats) -> tuple[float, bool]:
        """Move both arms to their targets."""
        with quiet(), contextlib.chdir(self._root):
            self._env.take_action(action, action_type="qpos")
            self._sensed = self._env.get_obs()
        self._success = bool(self._env.eval_success) or bool(self._env.check_success())
        return float(self._success), True

    def holds(self, task: str) -> bool:
        """Whether the task was done after the last action."""
        return self._success

    def sentence(self) -> str:
        """The benchmark's full description of the task."""
        return self._sentence

    def proprioception(self) -> Floats:
        """Joints and gripper openings, left then right (14,)."""
        return vector(self._sensed["joint_action"]["vector"])

    def draw(self) -> dict[str, Image]:
        """The benchmark's pictures."""
        seen = self._sensed["observation"]
        return {view.name: sized(seen[view.source or view.name]["rgb"], view) for view in self._views}

    def close(self) -> None:
        """Free the scene."""
        if self._open:
            with quiet():
                self._env.close_env()
        self._open = False


def settings(root: Path, name: str, task: str) -> dict[str, Any]:
    """The keyword arguments of a scene, put together from the benchmark's files as its own evaluation does."""
    folder = root / "task_config"
    found = _yaml(folder / f"{name}.yml")
    bodies, cameras = _yaml(folder / "_embodiment_config.yml"), _yaml(folder / "_camera_config.yml")
    chosen = list(found["embodiment"])
    left, right = chosen[0], chosen[min(1, len(chosen) - 1)]
    files = [root / str(bodies[name]["file_path"]) for name in (left, right)]
    camera = cameras[found["camera"]["head_camera_type"]]
    found.update(
        task_name=task,
        eval_mode=True,
        render_freq=0,
        head_camera_h=camera["h"],
        head_camera_w=camera["w"],
        left_robot_file=str(files[0]),
        right_robot_file=str(files[1]),
        left_embodiment_config=_yaml(files[0] / "config.yml"),
        right_embodiment_config=_yaml(files[1] / "config.yml"),
        dual_arm_embodied=len(chosen) == 1,
    )
    return {**found, "embodiment_dis": chosen[2]} if len(chosen) == 3 else found


def described(path: Path) -> str:
    """The full description in a task's file; empty where there is none."""
    if not path.is_file():
        return ""
    try:
        return str(json.loads(path.read_text(encoding="utf-8")).get("full_description", ""))
    except (ValueError, AttributeError) as error:
        raise CorruptFileError(f"is no description of a task: {error}", file=path) from error


def _yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MissingFileError("the checkout lacks a setting", file=path) from error
    except yaml.YAMLError as error:
        raise CorruptFileError(f"cannot be read: {error}", file=path) from error
    if not isinstance(found, dict):
        raise CorruptFileError("holds no settings", file=path)
    return found


def _module(root: Path, task: str) -> Any:
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    try:
        with quiet(), contextlib.chdir(root):
            return Folder(kind="task of robotwin", package="envs").load(task)
    except ModuleNotFoundError as error:
        raise absent("robotwin", error.name, "RoboTwin") from error
