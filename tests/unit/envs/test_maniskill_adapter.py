"""ManiSkill through the protocol: contracts of seven bodies, shipped experts turned inside out, pictures."""

import threading
import time
from importlib import metadata

import numpy as np
import pytest

from embodia import envs
from embodia.core.errors import ConfigError, EnvironmentFailure, UnknownNameError
from embodia.envs.adapters import _maniskill_sim, maniskill
from embodia.envs.conformance import check_env
from embodia.envs.protocol import CameraView, EnvConfig
from embodia.evaluation.suites import load, names
from embodia.generate import experts
from embodia.generate.experts.maniskill import SOLUTIONS, Stepwise


def _installed():
    try:
        return metadata.version("mani-skill")
    except metadata.PackageNotFoundError:
        return None


needs_maniskill = [
    pytest.mark.sim,
    pytest.mark.xdist_group("maniskill"),
    pytest.mark.skipif(_installed() is None, reason="mani-skill is not installed (extra: maniskill)"),
    pytest.mark.skipif(not _maniskill_sim.SOFTWARE_DRIVER.exists(), reason="no software Vulkan driver (SwiftShader)"),
]


def test_twenty_three_tasks_on_seven_bodies():
    tasks = [task for body in maniskill.BODIES.values() for task in body.tasks]
    assert len(tasks) == len(set(tasks)) == 23 and set(tasks) == set(maniskill.HORIZONS) == set(maniskill.SENTENCES)
    dims = {name: family.contract((), "fast").action.dim for name, family in maniskill.FAMILIES.items()}
    assert dims == {
        "panda_joints": 8,
        "panda_stick": 7,
        "two_pandas_joints": 16,
        "so100": 6,
        "unitree_g1": 25,
        "dclaw": 9,
        "trifinger": 9,
    }


def test_a_body_follows_from_the_tasks():
    assert envs.make("maniskill").contract.embodiment == "panda_joints"
    assert envs.make("maniskill", EnvConfig(tasks=("PushT",))).contract.embodiment == "panda_stick"
    with pytest.raises(ConfigError, match="one body"):
        envs.make("maniskill", EnvConfig(tasks=("PushT", "PickCube")))


def test_experts_are_those_that_ship_and_work():
    assert set(SOLUTIONS) < set(maniskill.BODIES["panda_joints"].tasks)
    with pytest.raises(UnknownNameError):
        experts.make("maniskill", "DrawTriangle")


def test_every_suite_can_be_built():
    mine = [name for name in names() if name.split("/")[0] in
            ("maniskill", "ogbench", "robosuite", "fetch", "adroit", "franka_kitchen")]  # fmt: skip
    assert len(mine) == 7 + 11 + 2 + 1 + 1 + 1
    for name in mine:
        suite = load(name)
        env = envs.make(suite.family, suite.env)
        assert env.tasks == suite.env.tasks and suite.differs and "arXiv" in suite.source
        assert all(set(group) <= set(env.tasks) for group in suite.groups.values())


def test_a_vulkan_driver_is_asked_for_by_name(monkeypatch, tmp_path):
    monkeypatch.setenv("VK_ICD_FILENAMES", "")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(_maniskill_sim, "SOFTWARE_DRIVER", tmp_path / "none.json")
    with pytest.raises(EnvironmentFailure, match="Vulkan"):
        _maniskill_sim.choose_vulkan()
    (tmp_path / "none.json").write_text("{}")
    device = _maniskill_sim.choose_vulkan()
    assert device == "pci:0000:00:00.0" and device.split(":") == (device, None)


class World:
    """Remembers what was done to it."""

    def __init__(self):
        self.done = []


def follows(wanted):
    def solve(env, **_):
        env.reset(seed=3)
        for action in wanted:
            before = len(env.unwrapped.done)
            env.step(np.array([action]))
            assert len(env.unwrapped.done) == before + 1, "the action was not carried out before the next was planned"
        return -1

    return solve


def test_a_solution_is_turned_inside_out():
    world = World()
    plan = Stepwise(follows([1.0, 2.0, 3.0]), world)
    while (action := plan.next()) is not None:
        world.done.append(float(action[0]))
    assert world.done == [1.0, 2.0, 3.0] and plan.next() is None


def test_a_plan_that_is_given_up_leaves_no_thread():
    before = threading.active_count()
    plan = Stepwise(follows([1.0] * 10), World())
    plan.next()
    assert threading.active_count() == before + 1
    del plan
    for _ in range(200):
        if threading.active_count() == before:
            return
        time.sleep(0.01)
    raise AssertionError("the thread waits for ever")


def test_a_solution_that_fails_says_so():
    def broken(env, **_):
        env.step(np.zeros(1))
        raise TypeError("upstream")

    plan = Stepwise(broken, World())
    plan.next()
    with pytest.raises(EnvironmentFailure, match="upstream"):
        plan.next()


class TestWithThePackage:
    pytestmark = needs_maniskill

    @pytest.mark.parametrize("images", [False, pytest.param(True, marks=pytest.mark.long)])
    def test_it_keeps_every_promise(self, images):
        env = envs.make("maniskill", EnvConfig(tasks=("PickCube",), height=64, width=64))
        assert ("images" in check_env(env, images=images)) == images
        env.close()

    def test_the_expert_succeeds_and_verdicts_are_the_packages(self):
        env = envs.make("maniskill", EnvConfig(tasks=("PushCube",), height=64, width=64))
        expert = experts.make("maniskill", "PushCube")
        env.reset("PushCube", 0)
        expert.begin()
        for _ in range(maniskill.HORIZONS["PushCube"]):
            result = env.step(expert.act(env))
            told = bool(env.simulation.world.get_info()["success"][0])
            assert result[4]["success"] == told == env.judge("PushCube")
            if result[2]:
                break
        assert result[4]["success"]
        env.close()

    @pytest.mark.long
    def test_the_goal_mark_is_drawn_and_pictures_are_upright(self):
        env = envs.make("maniskill", EnvConfig(tasks=("PickCube",), height=128, width=128))
        env.reset("PickCube", 0)
        rows = []
        for height in (0.05, 0.35):
            import sapien

            env.simulation.world.goal_site.set_pose(sapien.Pose([0.05, 0.2, height]))
            image = env.observe().images["wide"][0, 0].astype(int)
            green = np.argwhere(image[..., 1] > image[..., [0, 2]].max(axis=-1) + 40)
            assert len(green)
            rows.append(green[:, 0].mean())
        assert rows[1] < rows[0] - 5
        env.close()

    def test_a_camera_cannot_be_placed(self):
        view = CameraView(name="mine", lookat_m=(0.0, 0.0, 0.0))
        with pytest.raises(ConfigError, match="placed"):
            envs.make("maniskill", EnvConfig(tasks=("PickCube",), cameras=(view,))).reset("PickCube", 0)
