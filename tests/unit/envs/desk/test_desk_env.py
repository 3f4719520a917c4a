"""The desk behind the protocol, and its experts on it."""

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo is not installed")

from embodia import envs
from embodia.core.errors import ConfigError, EnvironmentFailure, NotFiniteError, UnknownNameError
from embodia.envs import EnvConfig
from embodia.envs.conformance import check_env
from embodia.generate import experts

pytestmark = pytest.mark.sim


@pytest.fixture(scope="module")
def env():
    env = envs.make("desk", EnvConfig(height=32, width=32))
    yield env
    env.close()


def test_it_keeps_the_promises_of_an_environment(env):
    assert "images" in check_env(env, ("reach/red-cube", "push/blue-cube/left"))


def play(env, task, seed, limit=120):
    env.reset(task, seed)
    expert = experts.make("desk", task)
    expert.begin()
    for _ in range(limit):
        _, _, terminated, _, info = env.step(expert.act(env))
        if terminated:
            break
    return info["success"]


@pytest.mark.parametrize("task", ["reach/green-ball", "push/red-cube/near", "push/green-cylinder/left"])
def test_experts_do_their_tasks(env, task):
    assert all(play(env, task, seed) for seed in range(3))


def test_the_expert_of_one_task_does_not_do_its_partner(env):
    env.reset("reach/red-cube", 0)
    expert = experts.make("desk", "reach/red-cube")
    expert.begin()
    for _ in range(40):
        env.step(expert.act(env))
    assert env.judge("reach/red-cube") and not env.judge("reach/blue-ball")


def test_the_state_says_nothing_about_the_scene(env):
    states = [env.reset("reach/red-cube", seed).state for seed in range(4)]
    assert np.allclose(states[0], states, atol=1e-4)


def test_wrong_use_is_answered_with_typed_errors(env):
    with pytest.raises(UnknownNameError):
        envs.make("desk", EnvConfig(options={"colour": "red"}))
    with pytest.raises(ConfigError):
        envs.make("desk", EnvConfig(options={"control": "torque"}))
    with pytest.raises(EnvironmentFailure):
        envs.make("desk").step(np.zeros(6))
    env.reset("reach/red-cube", 0)
    with pytest.raises(NotFiniteError):
        env.step(np.full(6, np.nan))
    with pytest.raises(UnknownNameError):
        env.judge("push/red-cube/left")
