"""OGBench through the protocol: the package's own verdicts, repeatable resets, upright pictures, oracles."""

from importlib import metadata

import numpy as np
import pytest

from embodia import envs
from embodia.core.errors import ConfigError, MissingExtraError, UnknownNameError
from embodia.envs.adapters import ogbench
from embodia.envs.conformance import check_env
from embodia.envs.protocol import EnvConfig
from embodia.generate import experts
from embodia.generate.experts.ogbench import lights_out


def _installed():
    try:
        return metadata.version("ogbench")
    except metadata.PackageNotFoundError:
        return None


needs_ogbench = [
    pytest.mark.sim,
    pytest.mark.xdist_group("ogbench"),
    pytest.mark.skipif(_installed() is None, reason="ogbench is not installed (extra: ogbench)"),
]


def play(env, task, seed, expert):
    env.reset(task, seed)
    expert.begin()
    for count in range(1, 2000):
        *_, terminated, truncated, info = env.step(expert.act(env))
        if terminated or truncated:
            return info["success"], count
    raise AssertionError("an episode has to end")


def test_fifty_tasks_with_the_benchmarks_horizons():
    env = envs.make("ogbench")
    assert len(env.tasks) == 50 and {ogbench.scene_of(task)[0] for task in env.tasks} == set(ogbench.HORIZONS)
    assert [part.dim for part in env.contract.action.parts] == [3, 1, 1]
    assert env.contract.action.parts[2].polarity == "positive_closes" and env.contract.action.rate_hz == 20.0


def test_partners_share_the_scene_and_want_something_else():
    env = envs.make("ogbench")
    assert env.scene_partners("cube-double-task1") == tuple(f"cube-double-task{n}" for n in (2, 3, 4, 5))
    assert "puzzle-4x4-task5" not in env.scene_partners("puzzle-4x4-task4")
    assert env.instructions("puzzle-4x4-task5") == env.instructions("puzzle-4x4-task4")


@pytest.mark.parametrize(("rows", "columns"), [(3, 3), (4, 4), (4, 5), (4, 6)])
def test_lights_out_is_solved(rows, columns):
    rng = np.random.default_rng(rows * columns)
    for _ in range(20):
        pressed = rng.integers(0, 2, rows * columns)
        change = flips(rows, columns, pressed)
        np.testing.assert_array_equal(flips(rows, columns, lights_out(rows, columns, change)), change)


def flips(rows, columns, pressed):
    board = np.zeros((rows + 2, columns + 2), int)
    for row, column in np.argwhere(pressed.reshape(rows, columns)):
        for down, right in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)):
            board[row + 1 + down, column + 1 + right] ^= 1
    return board[1:-1, 1:-1].ravel()


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ogbench.manipspace.envs.cube_env", None)
    monkeypatch.setitem(__import__("sys").modules, "ogbench", None)
    with pytest.raises(MissingExtraError, match=r"embodia\[ogbench\]"):
        envs.make("ogbench").reset("cube-single-task1", 0)


@pytest.fixture(scope="module")
def env():
    made = envs.make("ogbench", EnvConfig(height=64, width=64))
    yield made
    made.close()


class TestWithThePackage:
    pytestmark = needs_ogbench

    def test_it_keeps_every_promise(self, env):
        assert "images" in check_env(env, ("cube-double-task1", "scene-task1", "puzzle-3x3-task2"))

    def test_success_is_the_packages_own(self, env):
        expert = experts.make("ogbench", "scene-task1")
        env.reset("scene-task1", 3)
        seen = []
        for _ in range(80):
            info = env.step(expert.act(env))[4]
            world = env.simulation.env
            assert info["success"] == bool(world._success) == env.judge("scene-task1")
            seen.append(info["success"])
        assert seen[-1] and not seen[0]

    def test_judging_a_partner_changes_nothing(self, env):
        env.reset("cube-double-task4", 0)
        data = env.simulation.env._data
        before = data.qpos.copy(), data.mocap_pos.copy()
        assert not any(env.judge(other) for other in env.scene_partners("cube-double-task4"))
        np.testing.assert_array_equal(before[0], data.qpos)
        np.testing.assert_array_equal(before[1], data.mocap_pos)

    def test_a_partners_goal_is_reached_by_the_partners_expert(self, env):
        expert = experts.make("ogbench", "cube-double-task2@cube-double-task1")
        assert play(env, "cube-double-task2@cube-double-task1", 0, expert)[0]
        assert not env.judge("cube-double-task1")

    @pytest.mark.parametrize("task", ["cube-single-task1", "cube-double-task5", "scene-task4", "puzzle-3x3-task1"])
    def test_oracles_reach_the_goal(self, env, task):
        success, steps = play(env, task, 0, experts.make("ogbench", task))
        assert success and steps < ogbench.HORIZONS[ogbench.scene_of(task)[0]]

    def test_sentences_tell_the_goals(self, env):
        env.reset("cube-triple-task1", 0)
        for number, info in enumerate(env.simulation.env.task_infos, 1):
            said = env.instructions(f"cube-triple-task{number}")[0]
            for x, _, z in info["goal_xyzs"]:
                assert z > 0.03 or f"{100 * x:g} cm in front" in said
            assert said.count("on top of") == np.sum(info["goal_xyzs"][:, 2] > 0.03)

    def test_the_picture_is_upright_and_the_robots_left_is_on_the_right(self, env):
        env.reset("cube-single-task2", 0)
        world = env.simulation.env
        rows, columns = [], []
        for place in ((0.35, -0.1), (0.35, 0.1), (0.5, 0.0)):
            world._data.joint("object_joint_0").qpos[:2] = place
            __import__("mujoco").mj_forward(world._model, world._data)
            image = env.observe().images["front"][0, 0].astype(int)
            red = np.argwhere((image[..., 0] > 110) & (image[..., 1] < 100) & (image[..., 2] < 110))
            rows.append(red[:, 0].mean())
            columns.append(red[:, 1].mean())
        assert columns[0] < columns[2] < columns[1] and rows[2] > rows[0]

    def test_an_expert_of_another_family_is_refused(self, env):
        class Other:
            provenance = type("P", (), {"environment": "other"})

        with pytest.raises(ConfigError):
            experts.make("ogbench", "cube-single-task1").act(Other())
        with pytest.raises(UnknownNameError):
            env.reset("cube-single-task6", 0)
