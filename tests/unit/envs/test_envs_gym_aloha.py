"""gym-aloha behind the protocol, held against the package's own environment."""

import numpy as np
import pytest

pytest.importorskip("gym_aloha", reason="gym-aloha is not installed")

from embodia.core.errors import UnknownNameError
from embodia.envs import EnvConfig, make
from embodia.envs.conformance import check_env

pytestmark = pytest.mark.sim


@pytest.fixture(scope="module")
def env():
    made = make("gym_aloha", EnvConfig(height=64, width=64))
    yield made
    made.close()


def test_keeps_every_promise(env):
    assert "images" in check_env(env, env.tasks)


def test_steps_like_the_packages_own_environment(env, monkeypatch):
    from gym_aloha.env import AlohaEnv
    from gym_aloha.tasks.sim import BimanualViperXTask, TransferCubeTask

    def without_pictures(self, physics):
        return {"qpos": self.get_qpos(physics), "images": {"top": np.zeros(1)}}

    monkeypatch.setattr(BimanualViperXTask, "get_observation", without_pictures)
    theirs = AlohaEnv("transfer_cube", obs_type="pixels_agent_pos")
    assert isinstance(theirs._env.task, TransferCubeTask)
    known, _ = theirs.reset(seed=11)
    mine = env.reset("transfer-cube", 11)
    assert np.allclose(mine.state[0, 0], known["agent_pos"], atol=1e-6)
    rng = np.random.default_rng(0)
    target = known["agent_pos"].astype(np.float32)
    for _ in range(25):
        action = np.clip(target + rng.normal(0, 0.05, 14), -1.5, 1.5).astype(np.float32)
        action[[6, 13]] = np.clip(action[[6, 13]], 0, 1)
        known, reward, _, _, _ = theirs.step(action.astype(np.float64))
        sensed, mine_reward, *_ = env.step(action)
        assert mine_reward == reward
        assert np.allclose(sensed.state[0, 0], known["agent_pos"], atol=1e-6)


def test_the_cube_lies_elsewhere_under_another_seed(env):
    places = []
    for seed in (0, 1, 0):
        env.reset("transfer-cube", seed)
        places.append(env.simulation.data.qpos[16:19].copy())
    assert np.array_equal(places[0], places[2]) and not np.allclose(places[0], places[1])


@pytest.mark.parametrize(("reward", "holds"), [(3, False), (4, True)])
def test_success_is_the_last_stage(env, monkeypatch, reward, holds):
    env.reset("insertion", 0)
    monkeypatch.setattr(env.simulation._task, "get_reward", lambda physics: reward)
    _, got, terminated, _, info = env.step(np.concatenate([env.reset("insertion", 0).state[0, 0]]))
    assert (got, info["success"], terminated) == (reward, holds, holds)


def test_grippers_open_when_positive(env):
    sensed = env.reset("transfer-cube", 3)
    action = sensed.state[0, 0].copy()
    action[[6, 13]] = 1.0
    for _ in range(40):
        sensed, *_ = env.step(action)
    opened = sensed.state[0, 0][[6, 13]].copy()
    action[[6, 13]] = 0.0
    for _ in range(40):
        sensed, *_ = env.step(action)
    assert (opened > 0.8).all() and (sensed.state[0, 0][[6, 13]] < 0.3).all()


def test_physics_that_blows_up_ends_the_episode_and_the_next_one_is_sound(env):
    first = env.reset("transfer-cube", 5).state
    env.simulation.data.qvel[:] = 1e9
    _, _, terminated, truncated, info = env.step(first[0, 0])
    assert truncated and not terminated and info["unstable"] and not info["success"]
    assert np.array_equal(env.reset("transfer-cube", 5).state, first)
    assert not env.step(first[0, 0])[4]["unstable"]


def test_unknown_task_names_the_nearest():
    with pytest.raises(UnknownNameError, match="transfer-cube"):
        make("gym_aloha", EnvConfig(tasks=("transfer_cube",)))
