"""robosuite through the protocol: two contracts, the package's own verdicts, repeatable resets, scripts."""

from importlib import metadata

import numpy as np
import pytest

from embodia import envs
from embodia.core.errors import ConfigError, UnknownNameError
from embodia.envs.adapters import robosuite
from embodia.envs.conformance import check_env
from embodia.envs.profiles import profile
from embodia.envs.protocol import EnvConfig
from embodia.generate import experts
from embodia.generate.experts._angles import wrapped
from embodia.generate.experts._stages import Script, Stage
from embodia.generate.experts.robosuite import SCRIPTS


def _installed():
    try:
        return metadata.version("robosuite")
    except metadata.PackageNotFoundError:
        return None


needs_robosuite = [
    pytest.mark.sim,
    pytest.mark.xdist_group("robosuite"),
    pytest.mark.skipif(_installed() is None, reason="robosuite is not installed (extra: robosuite)"),
]


def test_one_contract_a_body():
    one, two = envs.make("robosuite"), envs.make("robosuite", EnvConfig(tasks=robosuite.TWO_ARMS))
    assert (one.contract.action.dim, two.contract.action.dim) == (7, 14)
    assert (one.contract.embodiment, two.contract.embodiment) == ("panda", "two_pandas")
    assert [part.name for part in two.contract.action.parts][::3] == ["first_hand_position", "second_hand_position"]
    assert one.tasks == robosuite.ONE_ARM and two.contract.observation.camera_names == ("frontview", "wrist", "wrist1")
    with pytest.raises(ConfigError, match="one body"):
        envs.make("robosuite", EnvConfig(tasks=("Lift", "TwoArmLift")))


def test_which_tasks_have_a_script():
    assert set(robosuite.ONE_ARM + robosuite.TWO_ARMS) - set(SCRIPTS) == {"Door", "TwoArmHandover"}
    with pytest.raises(UnknownNameError):
        experts.make("robosuite", "Door")


def test_a_script_waits_until_every_hand_has_arrived():
    stages = (
        Stage(where=lambda world: world["goal"], grip=-1.0, near_m=0.1, hold=1),
        Stage(where=lambda world: world["goal"] + 1.0, grip=1.0),
    )
    script, world = Script(stages), {"goal": np.zeros((2, 3))}
    near, far = np.zeros((2, 3)), np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.5]])
    grips = [script.ask(world, hands)[2] for hands in (far, near, far, near, near, near)]
    assert grips == [-1.0, -1.0, -1.0, -1.0, 1.0, 1.0]
    np.testing.assert_allclose(script.ask(world, near)[0], 1.0)
    script.begin()
    assert script.ask(world, near)[2] == -1.0


@pytest.mark.parametrize("angle", np.linspace(-10, 10, 41))
def test_angles_are_wrapped(angle):
    found = wrapped(angle, np.pi / 2)
    assert abs(found) <= np.pi / 4 + 1e-9
    assert abs(((angle - found) / (np.pi / 2)) - round((angle - found) / (np.pi / 2))) < 1e-9


class TestWithThePackage:
    pytestmark = needs_robosuite

    @pytest.mark.parametrize("task", ["Lift", "NutAssemblySquare", "TwoArmHandover"])
    def test_it_keeps_every_promise(self, task):
        env = envs.make("robosuite", EnvConfig(tasks=(task,), height=64, width=64))
        assert "images" in check_env(env)
        env.close()

    @pytest.mark.parametrize("task", ["Lift", "Stack"])
    def test_scripts_succeed_and_verdicts_are_the_packages(self, task):
        env = envs.make("robosuite", EnvConfig(tasks=(task,)))
        expert = experts.make("robosuite", task)
        env.reset(task, 0)
        expert.begin()
        seen = []
        for _ in range(120):
            result = env.step(expert.act(env))
            seen.append(result[4]["success"])
            assert seen[-1] == bool(env.simulation.env._check_success()) == env.judge(task)
            if result[2]:
                break
        assert seen[-1] and not seen[0]
        env.close()

    @pytest.mark.parametrize("task", ["Lift", "TwoArmLift"])
    def test_control_periods_are_the_packages_own(self, task):
        """Independent oracle: the package's whole step, from the same start with the same turns, grips and pushes."""
        scene = robosuite.Scene(task, (), profile("fast"))
        pushes = np.repeat(np.random.default_rng(0).uniform(-1, 1, (4, scene.env.action_dim)), 4, axis=0)
        assert scene._control.usable
        found = []
        for play in (scene._control.step, lambda push: scene.env.step(push)[1]):
            scene.reset(3)
            found.append([np.append(scene.env.sim.get_state().flatten(), play(push)) for push in pushes])
        np.testing.assert_allclose(found[0], found[1], atol=1e-7)
        assert np.abs(found[0][-1] - found[0][0]).max() > 0.05, "the arms moved"
        scene.close()

    def test_actions_move_the_hand_along_the_axes_of_the_world(self):
        env = envs.make("robosuite", EnvConfig(tasks=("Lift",)))
        for axis in range(3):
            start = env.reset("Lift", 0).state[0, 0, 7:10]
            action = np.zeros(7)
            action[axis] = 1.0
            for _ in range(6):
                state = env.step(action)[0].state[0, 0, 7:10]
            moved = state - start
            assert np.argmax(np.abs(moved)) == axis and moved[axis] > 0.02
        env.close()

    def test_global_numbers_are_left_as_they_were(self):
        env = envs.make("robosuite", EnvConfig(tasks=("Lift",)))
        np.random.seed(7)
        expected = np.random.RandomState(7).uniform(size=3)
        env.reset("Lift", 0)
        np.testing.assert_array_equal(np.random.uniform(size=3), expected)
        env.close()
