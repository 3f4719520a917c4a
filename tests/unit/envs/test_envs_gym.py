import warnings

import numpy as np
import pytest

pytest.importorskip("metaworld", reason="Meta-World is not installed")

from gymnasium.utils.env_checker import check_env

from embodia import envs
from embodia.core.errors import ConfigError, UnknownNameError
from embodia.envs import EnvConfig
from embodia.envs.gym import GymEnv

pytestmark = pytest.mark.sim


@pytest.fixture(scope="module")
def env():
    config = EnvConfig(tasks=("reach", "faucet-open"), cameras=("right", "left"), height=24, width=32, horizon=6)
    made = GymEnv(envs.make("metaworld", config))
    yield made
    made.close()


def test_passes_gymnasiums_own_check(env):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*infinity.*")
        warnings.filterwarnings("ignore", message=".*not having a spec.*")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        check_env(env, skip_render_check=False)


def test_spaces_follow_the_contract(env):
    assert env.observation_space["image.right"].shape == (24, 32, 3)
    assert env.observation_space["state"].shape == (4,)
    assert np.array_equal(env.action_space.low, -np.ones(4)) and np.array_equal(env.action_space.high, np.ones(4))


def test_five_values_and_truncation_at_the_horizon(env):
    observation, info = env.reset(seed=3)
    assert info["task"] == "reach" and info["instruction"].startswith("Move the gripper")
    for step in range(6):
        observation, _, terminated, truncated, info = env.step(env.action_space.sample())
        assert env.observation_space.contains(observation) and not terminated and truncated == (step == 5)
    assert info["success"] is False
    assert np.array_equal(env.render(), observation["image.right"])


def test_the_task_can_be_changed(env):
    _, info = env.reset(seed=0, options={"task": "faucet-open"})
    assert info["instruction"] == "Turn the faucet on."
    with pytest.raises(UnknownNameError):
        env.reset(options={"task": "hammer"})
    env.reset(seed=0, options={"task": "reach"})


def test_without_pictures(env):
    bare = GymEnv(env._env, "reach", images=False, render_mode=None)
    assert set(bare.reset(seed=0)[0]) == {"state"} and bare.render() is None
    with pytest.raises(ConfigError):
        GymEnv(env._env, render_mode="human")
