"""PushT behind the protocol, held against the package's own environment and geometry."""

import numpy as np
import pytest

pytest.importorskip("gym_pusht", reason="gym-pusht is not installed")

from embodia.core.errors import EnvironmentFailure
from embodia.envs import CameraView, EnvConfig, make
from embodia.envs.conformance import check_env

pytestmark = pytest.mark.sim
TASK = "push-t"


@pytest.fixture(scope="module")
def env():
    made = make("pusht", EnvConfig(height=96, width=96))
    yield made
    made.close()


def at_goal(env, shift=(0.0, 0.0), turn=0.0):
    env.reset(TASK, 0)
    block = env.simulation.table.block
    block.angle = np.pi / 4 + turn
    block.position = (256 + shift[0], 256 + shift[1])
    env.simulation.table.agent.position = (30, 30)
    return env.step(np.array([30, 30], np.float32))


def test_keeps_every_promise(env):
    assert "images" in check_env(env)


def test_steps_like_the_packages_own_environment(env):
    from gym_pusht.envs.pusht import PushTEnv

    theirs = PushTEnv(obs_type="state")
    known, _ = theirs.reset(seed=5)
    assert np.allclose(env.reset(TASK, 5).state[0, 0], known[:2])
    rng = np.random.default_rng(1)
    for _ in range(30):
        action = rng.uniform(100, 400, 2).astype(np.float32)
        known, reward, _, _, _ = theirs.step(action.astype(np.float64))
        sensed, mine, *_ = env.step(action)
        assert mine == pytest.approx(reward) and np.allclose(sensed.state[0, 0], known[:2], atol=1e-3)


def test_pixels_are_the_packages(env):
    from gym_pusht.envs.pusht import PushTEnv

    theirs = PushTEnv(obs_type="pixels")
    expected, _ = theirs.reset(seed=7)
    env.reset(TASK, 7)
    assert np.array_equal(env.observe().images["top"][0, 0], expected)


def test_on_its_outline_the_t_counts_and_beside_it_does_not(env):
    _, reward, terminated, _, info = at_goal(env)
    assert info["success"] and terminated and reward == 1.0
    _, reward, terminated, _, info = at_goal(env, shift=(30, 0))
    assert not info["success"] and not terminated and 0.2 < reward < 1.0


def test_upside_down_is_not_done(env):
    assert not at_goal(env, turn=np.pi)[4]["success"]


def test_action_beyond_the_table_is_cut_to_it(env):
    env.reset(TASK, 2)
    for _ in range(12):
        sensed, *_ = env.step(np.array([900.0, -50.0], np.float32))
    assert np.allclose(sensed.state[0, 0], [512, 0], atol=3)


def test_seen_from_above_only():
    made = make("pusht", EnvConfig(cameras=(CameraView(name="side", lookat_m=(0, 0, 0)),)))
    made.reset(TASK, 0)
    with pytest.raises(EnvironmentFailure, match="above"):
        made.observe()
