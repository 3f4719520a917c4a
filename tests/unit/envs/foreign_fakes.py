"""Small stand-ins for benchmarks that cannot be installed here: their public calls, shapes and refusals, no physics."""

import sys
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import numpy as np


def module(monkeypatch, name, **content):
    """Make `name`, and its parents, importable for one test."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        path = ".".join(parts[:end])
        if path not in sys.modules:
            made = ModuleType(path)
            made.__path__ = []
            monkeypatch.setitem(sys.modules, path, made)
            if end > 1:
                monkeypatch.setattr(sys.modules[".".join(parts[: end - 1])], parts[end - 1], made, raising=False)
    for key, value in content.items():
        monkeypatch.setattr(sys.modules[name], key, value, raising=False)
    return sys.modules[name]


def picture(rng, rows, columns):
    return rng.integers(0, 255, (rows, columns, 3), dtype=np.uint8)


class SimplerScene:
    """What `simpler_env.make` returns: gymnasium's calls, dict observations with pictures in them."""

    made: ClassVar[list] = []

    def __init__(self, task):
        self.task, self.actions = task, []
        self.camera = "3rd_view_camera" if "widowx" in task else "overhead_camera"
        SimplerScene.made.append(self)

    def _see(self):
        pose = np.concatenate([self.hand, [1, 0, 0, 0]]).astype(np.float32)
        return {"extra": {"tcp_pose": pose}, "image": {self.camera: {"rgb": picture(self.rng, 480, 640)}}}

    def reset(self, seed=None, options=None):
        self.rng = np.random.default_rng(seed)
        self.options, self.hand = options, self.rng.uniform(size=3)
        return self._see(), {}

    def step(self, action):
        assert action.shape == (7,) and action.dtype == np.float32
        self.actions.append(action)
        self.hand = self.hand + action[:3]
        done = bool(self.hand[2] > 2.0)
        return self._see(), float(done), done, False, {"success": done, "episode_stats": {}}

    def get_language_instruction(self):
        return f"sentence of {self.options['obj_init_options']['episode_id']}"

    def close(self):
        self.closed = True


def simpler(monkeypatch):
    SimplerScene.made = []
    module(monkeypatch, "simpler_env", make=SimplerScene)


class Unreachable(Exception):
    """Stands for IKError, ConfigurationPathError and InvalidActionError."""


class BenchTask:
    """A task of RLBench: draws from numpy's global generator, wants unit quaternions, three-valued step."""

    def __init__(self, kind, cameras):
        self.kind, self.cameras, self.variation = kind, cameras, None

    def variation_count(self):
        return 4

    def set_variation(self, number):
        assert 0 <= number < self.variation_count()
        self.variation = number

    def _see(self):
        shown = {f"{name}_rgb": picture(np.random.default_rng(0), 128, 128) for name in self.cameras}
        return SimpleNamespace(gripper_pose=self.pose.copy(), gripper_open=self.open, **shown)

    def reset(self):
        self.pose, self.open = np.concatenate([np.random.uniform(size=3), [0, 0, 0, 1]]), 1.0
        return [f"variation {self.variation}", "said otherwise"], self._see()

    def step(self, action):
        assert action.shape == (8,) and np.isclose(np.linalg.norm(action[3:7]), 1.0)
        if action[2] < -1.0:
            raise Unreachable("below the table")
        self.pose, self.open = action[:7].copy(), float(action[7] > 0.5)
        return self._see(), float(action[2] > 1.0), bool(action[2] > 1.0)


class Bench:
    """RLBench's Environment."""

    last = None

    def __init__(self, mode, obs_config=None, headless=False):
        assert headless
        self.mode, self.config, self.launched, self.down = mode, obs_config, False, False
        Bench.last = self

    def launch(self):
        self.launched = True

    def get_task(self, kind):
        assert self.launched
        return BenchTask(kind, [name for name in self.config.names if getattr(self.config, f"{name}_camera").rgb])

    def shutdown(self):
        self.down = True


class BenchCameras:
    """RLBench's ObservationConfig."""

    names = ("front", "left_shoulder", "right_shoulder", "wrist", "overhead")

    def __init__(self):
        for name in self.names:
            setattr(self, f"{name}_camera", SimpleNamespace(rgb=True))

    def set_all_low_dim(self, value):
        self.low = value

    def set_all_high_dim(self, value):
        for name in self.names:
            getattr(self, f"{name}_camera").rgb = value


def rlbench(monkeypatch):
    class Plan:
        pass

    module(monkeypatch, "pyrep.errors", IKError=Unreachable, ConfigurationPathError=Unreachable)
    module(monkeypatch, "rlbench.action_modes.action_mode", MoveArmThenGripper=lambda arm, gripper: (arm, gripper))
    module(monkeypatch, "rlbench.action_modes.arm_action_modes", EndEffectorPoseViaPlanning=Plan)
    module(monkeypatch, "rlbench.action_modes.gripper_action_modes", Discrete=Plan)
    module(monkeypatch, "rlbench.backend.exceptions", InvalidActionError=Unreachable)
    module(monkeypatch, "rlbench.backend.utils", task_file_to_task_class=lambda name: name.removesuffix(".py"))
    module(monkeypatch, "rlbench.environment", Environment=Bench)
    module(monkeypatch, "rlbench.observation_config", ObservationConfig=BenchCameras)


class Kitchen:
    """A robosuite 1.5 environment of RoboCasa: draws from its own `rng`, renders upside down, four-valued step."""

    dim = 12

    def __init__(self, **given):
        self.given, self.rng = given, None
        self.action_spec = (-np.ones(self.dim), np.ones(self.dim))
        self.sim = SimpleNamespace(render=self._render)

    def _render(self, height, width, camera_name):
        shown = np.zeros((height, width, 3), np.uint8)
        shown[-height // 4 :] = 200
        return shown

    def _see(self):
        sizes = {
            "robot0_base_to_eef_pos": 3,
            "robot0_base_to_eef_quat": 4,
            "robot0_gripper_qpos": 2,
            "robot0_base_pos": 3,
            "robot0_base_quat": 4,
        }
        return {name: np.full(size, self.height) for name, size in sizes.items()}

    def reset(self):
        self.height, self.kitchen = float(self.rng.uniform()), int(self.rng.integers(100))
        return self._see()

    def step(self, action):
        assert action.shape == (self.dim,)
        self.height += float(action[2])
        return self._see(), 0.0, False, {}

    def _check_success(self):
        return np.bool_(self.height > 3.0)

    def get_ep_meta(self):
        return {"lang": f"open cabinet {self.kitchen}"}

    def close(self):
        pass


def robocasa(monkeypatch, kitchen=Kitchen):
    module(monkeypatch, "robocasa")
    module(monkeypatch, "robosuite", make=lambda **given: kitchen(**given))
    module(
        monkeypatch, "robosuite.controllers", load_composite_controller_config=lambda controller, robot: {"for": robot}
    )


class PlayTable:
    """CALVIN's environment: resets to given states, refuses gripper commands but -1 and 1, four-valued step."""

    def __init__(self):
        self.lamp, self.steps = 0, 0

    def reset(self, robot_obs=None, scene_obs=None):
        self.robot, self.lamp = np.array(robot_obs, float), int(scene_obs[0])
        return self.get_obs()

    def get_obs(self):
        shown = {
            "rgb_static": picture(np.random.default_rng(0), 200, 200),
            "rgb_gripper": picture(np.random.default_rng(1), 84, 84),
        }
        return {"robot_obs": self.robot.copy(), "rgb_obs": shown, "scene_obs": np.zeros(24)}

    def get_info(self):
        return {"scene_info": {"lights": {"lightbulb": {"logical_state": self.lamp}}}, "robot_info": {}}

    def step(self, action):
        assert len(action) == 7 and action[6] in (-1, 1)
        self.robot[:3] += action[:3] * 0.02
        if action[6] > 0 and action[2] > 0.9:
            self.lamp = 1 - self.lamp
        return self.get_obs(), 0, False, self.get_info()

    def close(self):
        self.closed = True


class Oracle:
    """CALVIN's Tasks: what changed between two infos."""

    def __init__(self, tasks):
        self.tasks = tasks

    def get_task_info_for_set(self, start, end, wanted):
        old, new = (info["scene_info"]["lights"]["lightbulb"]["logical_state"] for info in (start, end))
        found = {("turn_on_lightbulb" if new else "turn_off_lightbulb")} if old != new else set()
        return found & wanted & set(self.tasks)


def state_of(condition):
    assert condition["grasped"] == 0 and condition["lightbulb"] in (0, 1) and condition["drawer"] in ("open", "closed")
    scene = np.zeros(24)
    scene[0] = condition["lightbulb"]
    return np.random.uniform(size=15), scene


def calvin(monkeypatch, folder):
    import yaml

    tasks = folder / "conf" / "callbacks" / "rollout" / "tasks" / "new_playtable_tasks.yaml"
    said = folder / "conf" / "annotations" / "new_playtable_validation.yaml"
    for path in (tasks, said):
        path.parent.mkdir(parents=True)
    tasks.write_text(yaml.safe_dump({"tasks": {"turn_on_lightbulb": ["x"], "turn_off_lightbulb": ["x"]}}))
    said.write_text(yaml.safe_dump({"turn_on_lightbulb": ["toggle the light switch to turn on the light bulb"]}))
    (folder / "data").mkdir()
    conf = SimpleNamespace(load=lambda path: yaml.safe_load(path.read_text()), to_container=lambda value: value)
    module(monkeypatch, "calvin_agent.evaluation.utils", get_env_state_for_initial_condition=state_of)
    module(monkeypatch, "calvin_env.envs.play_table_env", get_env=lambda path, show_gui: PlayTable())
    module(monkeypatch, "calvin_env.envs.tasks", Tasks=Oracle)
    module(monkeypatch, "omegaconf", OmegaConf=conf)
    return {"dataset": str(folder / "data"), "settings": str(folder / "conf")}


TWIN = """
import random
from pathlib import Path
import numpy as np

class beat_block_hammer:
    def setup_demo(self, now_ep_num, seed, is_test, **given):
        if seed == 13:
            raise RuntimeError("objects fall over")
        assert is_test and given["eval_mode"] and Path("task_config").is_dir()
        self.given, self.joints, self.open, self.eval_success = given, np.random.uniform(size=14), True, False

    def set_instruction(self, instruction):
        self.said = instruction

    def get_obs(self):
        assert self.open
        shown = np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)
        names = ("head_camera", "left_camera", "right_camera", "front_camera")
        return {"observation": {name: {"rgb": shown} for name in names}, "joint_action": {"vector": self.joints.copy()}}

    def take_action(self, action, action_type="qpos"):
        assert action_type == "qpos" and action.shape == (14,)
        self.joints = np.array(action)
        self.eval_success = bool(action[0] > 2.0)

    def check_success(self):
        return False

    def close_env(self, clear_cache=False):
        self.open = False
"""


def robotwin(monkeypatch, folder):
    import yaml

    for name in ("envs", "task_config", "description/task_instruction", "bodies/aloha"):
        (folder / name).mkdir(parents=True)
    (folder / "envs" / "__init__.py").write_text("")
    (folder / "envs" / "beat_block_hammer.py").write_text(TWIN)
    config = {"embodiment": ["aloha"], "camera": {"head_camera_type": "D435"}, "render_freq": 5}
    (folder / "task_config" / "demo_clean.yml").write_text(yaml.safe_dump(config))
    (folder / "task_config" / "_embodiment_config.yml").write_text(
        yaml.safe_dump({"aloha": {"file_path": "bodies/aloha"}})
    )
    (folder / "task_config" / "_camera_config.yml").write_text(yaml.safe_dump({"D435": {"h": 240, "w": 320}}))
    (folder / "bodies" / "aloha" / "config.yml").write_text(yaml.safe_dump({"arm_joints_name": [["a"], ["b"]]}))
    text = '{"full_description": "Beat the block with the hammer."}'
    (folder / "description" / "task_instruction" / "beat_block_hammer.json").write_text(text)
    for name in [name for name in sys.modules if name.split(".")[0] == "envs"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return {"checkout": str(folder)}
