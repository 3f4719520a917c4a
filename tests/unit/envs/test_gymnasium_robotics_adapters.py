"""Fetch, Adroit and the kitchen through the protocol: the package's own verdicts and pictures that change nothing."""

from importlib import metadata

import numpy as np
import pytest

from embodia import envs
from embodia.core.errors import ConfigError, UnknownNameError
from embodia.envs.adapters import adroit, fetch, franka_kitchen
from embodia.envs.conformance import check_env
from embodia.envs.protocol import EnvConfig
from embodia.generate import experts


def _installed():
    try:
        return metadata.version("gymnasium-robotics")
    except metadata.PackageNotFoundError:
        return None


needs_package = [
    pytest.mark.sim,
    pytest.mark.xdist_group("gymnasium_robotics"),
    pytest.mark.skipif(_installed() is None, reason="gymnasium-robotics is not installed (extra: fetch)"),
]
HANDS = ("AdroitHandDoor", "AdroitHandHammer", "AdroitHandPen", "AdroitHandRelocate")


def make(family, task, **options):
    return envs.make(family, EnvConfig(tasks=(task,), height=64, width=64, **options))


def test_the_thirty_joints_are_named_once():
    assert len(adroit.JOINTS) == len(set(adroit.JOINTS)) == 30
    assert adroit.FAMILY.contract((), "fast").action.dim == 30


def test_the_gripper_of_fetch_opens_with_a_positive_action():
    part = envs.make("fetch").contract.action.parts[1]
    assert part.polarity == "positive_opens" and envs.make("fetch").contract.action.rate_hz == 25.0


def test_every_kitchen_task_can_be_asked_for_in_the_kitchen_of_another():
    env = envs.make("franka_kitchen")
    assert len(env.tasks) == 9 and set(env.scene_partners("kettle")) == set(env.tasks) - {"kettle"}
    assert {name for names in franka_kitchen.ELEMENTS.values() for name in names} == {
        "microwave", "kettle", "light switch", "slide cabinet", "hinge cabinet", "bottom burner", "top burner"
    }  # fmt: skip


@pytest.mark.parametrize("task", ["FetchSlide", "FetchRaech"])
def test_tasks_without_a_script_are_named(task):
    with pytest.raises(UnknownNameError):
        experts.make("fetch", task)


class TestFetch:
    pytestmark = needs_package

    @pytest.mark.parametrize("task", fetch.SENTENCES)
    def test_it_keeps_every_promise(self, task):
        env = make("fetch", task)
        assert "images" in check_env(env)
        env.close()

    @pytest.mark.parametrize("task", ["FetchReach", "FetchPush", "FetchPickAndPlace"])
    def test_scripts_succeed_and_verdicts_are_the_packages(self, task):
        env, expert = make("fetch", task, success_ends=False), experts.make("fetch", task)
        reached = 0
        for seed in range(4):
            env.reset(task, seed)
            expert.begin()
            last = {}
            for _ in range(fetch.HORIZON):
                last = env.step(expert.act(env))[4]
                world = env.simulation.env
                told = world._get_obs()
                assert last["success"] == bool(world._is_success(told["achieved_goal"], told["desired_goal"]))
            reached += last["success"]
        assert reached >= 3
        env.close()

    def test_a_positive_gripper_action_opens(self):
        env = make("fetch", "FetchPickAndPlace")
        env.reset("FetchPickAndPlace", 0)
        widths = []
        for gripper in (1.0, -1.0):
            for _ in range(8):
                state = env.step(np.array([0.0, 0.0, 0.0, gripper]))[0].state
            widths.append(state[0, 0, 3:].sum())
        assert widths[0] > widths[1] + 0.02
        env.close()

    def test_the_mark_is_at_the_goal_and_drawing_changes_nothing(self):
        ends = []
        for looks in (False, True):
            env = make("fetch", "FetchPush")
            env.reset("FetchPush", 5)
            rng = np.random.default_rng(0)
            for _ in range(10):
                if looks:
                    env.observe()
                state = env.step(rng.uniform(-1, 1, 4))[0].state
            data = env.simulation.env.data
            np.testing.assert_allclose(data.site("target0").xpos, env.simulation.env.goal, atol=1e-9)
            ends.append(np.concatenate([data.qpos, state[0, 0]]))
            env.close()
        np.testing.assert_array_equal(*ends)

    def test_the_mark_shows_red_and_the_picture_is_upright(self):
        env = make("fetch", "FetchReach")
        env.reset("FetchReach", 0)
        rows = []
        for height in (0.45, 0.75):
            world = env.simulation.env
            world.model.site_pos[0] = [1.4, 0.75, height] - world.data.xpos[world.model.site_bodyid[0]]
            __import__("mujoco").mj_forward(world.model, world.data)
            image = env.observe().images["side"][0, 0].astype(int)
            red = np.argwhere((image[..., 0] > 150) & (image[..., 1] < 60) & (image[..., 2] < 60))
            assert len(red)
            rows.append(red[:, 0].mean())
        assert rows[1] < rows[0] - 5
        env.close()


class TestAdroit:
    pytestmark = needs_package

    @pytest.mark.parametrize("task", HANDS)
    def test_it_keeps_every_promise(self, task):
        env = make("adroit", task)
        assert "images" in check_env(env)
        env.close()

    @pytest.mark.parametrize("task", HANDS)
    def test_verdicts_are_the_packages(self, task):
        env = make("adroit", task, success_ends=False)
        env.reset(task, 0)
        world, rng, own = env.simulation.env, np.random.default_rng(1), []
        step = world.step
        world.step = lambda action: own.append(step(action)) or own[-1]
        for _ in range(20):
            if task == "AdroitHandDoor":
                world.data.qpos[world.door_hinge_addrs] = rng.uniform(1.2, 1.5)
            if task == "AdroitHandHammer":
                world.data.joint("nail_dir").qpos[0] = rng.uniform(0.05, 0.1)
            info = env.step(rng.uniform(-0.1, 0.1, 30))[4]
            assert info["success"] == bool(np.squeeze(own[-1][4]["success"])) == env.judge(task)
        env.close()

    def test_a_joint_that_is_held_fixed_ignores_its_action(self):
        env = make("adroit", "AdroitHandPen")
        ends = []
        for value in (-1.0, 1.0):
            env.reset("AdroitHandPen", 0)
            action = np.zeros(30)
            action[:6] = value
            ends.append(env.step(action)[0].state)
        np.testing.assert_array_equal(*ends)
        assert not ends[0][0, 0, :6].any() and ends[0][0, 0, 6:].any()
        env.close()

    def test_each_action_moves_its_own_joint(self):
        for task in ("AdroitHandDoor", "AdroitHandRelocate"):
            env = make("adroit", task)
            env.reset(task, 0)
            for index in (2, 3, 7, 10, 29):
                action = np.zeros(30)
                action[index] = 1.0
                env.step(action)
                world = env.simulation.env
                ends = world.model.actuator(f"A_{adroit.JOINTS[index]}").ctrlrange
                assert world.data.actuator(f"A_{adroit.JOINTS[index]}").ctrl[0] == pytest.approx(ends[1])
            env.close()


class TestKitchen:
    pytestmark = needs_package

    def test_it_keeps_every_promise_but_partners_are_many(self):
        env = make("franka_kitchen", "microwave")
        assert "images" in check_env(env)
        env.close()

    def test_what_is_done_once_stays_done(self):
        env = make("franka_kitchen", "microwave", success_ends=False)
        env.reset("microwave", 0)
        door = env.simulation.env.data.joint("microwave")
        door.qpos[0] = -0.7
        result = env.step(np.zeros(9))
        assert result[4]["success"] and result[1] == 1.0
        door.qpos[0] = 0.0
        result = env.step(np.zeros(9))
        assert result[4]["success"] and result[1] == 0.0
        assert env.judge("microwave") and not env.judge("complete") and not env.judge("kettle")
        env.reset("microwave", 0)
        assert not env.judge("microwave")
        env.close()


def test_experts_refuse_foreign_environments():
    class Other:
        provenance = type("P", (), {"environment": "other"})

    with pytest.raises(ConfigError):
        experts.make("fetch", "FetchPush").act(Other())
