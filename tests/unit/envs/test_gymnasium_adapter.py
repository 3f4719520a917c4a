"""Gymnasium's environments behind the protocol, against the same environments stepped directly."""

import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from embodia import envs
from embodia.core.errors import ConfigError, EnvironmentFailure, NotFiniteError, ShapeError, UnknownNameError
from embodia.envs import EnvConfig
from embodia.envs.conformance import check_env
from embodia.envs.vector import VectorEnv

sys.path.insert(0, str(Path(__file__).parent))
import gymnasium_fakes  # noqa: F401

PICTURES = "EmbodiaPictures-v0"


def opened(task=PICTURES, **settings):
    return envs.make("gymnasium", EnvConfig(tasks=(task,) if isinstance(task, str) else task, **settings))


def test_it_keeps_the_protocol():
    assert "images" in check_env(opened(horizon=5))


def test_states_and_rewards_are_the_environments_own():
    ours, theirs = opened("Pendulum-v1"), gymnasium.make("Pendulum-v1")
    seen, _ = theirs.reset(seed=3)
    np.testing.assert_array_equal(ours.reset("Pendulum-v1", 3).state[0, 0], seen.astype(np.float32))
    rng = np.random.default_rng(0)
    for _ in range(30):
        action = rng.uniform(-2, 2, 1)
        seen, reward, _, _, _ = theirs.step(action.astype(np.float32))
        sensed, ours_reward, terminated, truncated, info = ours.step(action)
        np.testing.assert_allclose(sensed.state[0, 0], seen, rtol=1e-6)
        assert (ours_reward, terminated, truncated, info["success"]) == (pytest.approx(reward), False, False, False)


def test_its_own_time_limit_truncates_and_a_shorter_one_too():
    for horizon, expected in ((0, 200), (17, 17)):
        env, steps, over = opened("Pendulum-v1", horizon=horizon), 0, False
        env.reset("Pendulum-v1", 0)
        while not over:
            over, steps = env.step(np.zeros(1))[3], steps + 1
        assert steps == expected


def test_the_contract_comes_from_the_spaces():
    contract = opened("Pendulum-v1").contract
    (part,) = contract.action.parts
    assert (part.dim, part.low, part.high, part.representation, part.units) == (1, -2.0, 2.0, "joint_torque", "none")
    assert [(part.name, part.dim) for part in contract.observation.state] == [("observation", 3)]
    assert contract.action.rate_hz == pytest.approx(20.0)


def test_a_dictionary_gives_cameras_and_named_state():
    env = opened()
    assert [camera.name for camera in env.contract.observation.cameras] == ["left", "right"]
    assert [(part.name, part.dim) for part in env.contract.observation.state] == [("place", 2), ("speed", 1)]
    assert env.reset(PICTURES, 5).images == {}
    env.step(np.array([0.5, 0.25]))
    seen = env.observe()
    assert seen.images["left"].shape == (1, 1, 12, 12, 3)
    np.testing.assert_array_equal(seen.images["right"], 255 - seen.images["left"])
    assert seen.state[0, 0, 2] == pytest.approx(0.5)


def test_what_it_draws_is_the_camera_render():
    env = opened(cameras=("render",), height=12, width=12)
    env.reset(PICTURES, 0)
    assert env.observe().images["render"].tolist() == np.full((1, 1, 12, 12, 3), 7).tolist()


def test_pictures_of_another_size_are_refused():
    with pytest.raises(ConfigError, match="left is"):
        opened(cameras=("left",), height=64, width=64)
    env = opened(cameras=("render",), height=64, width=64)
    env.reset(PICTURES, 0)
    with pytest.raises(EnvironmentFailure, match="asked for 64 x 64"):
        env.observe()


@pytest.mark.parametrize("ends", [True, False])
def test_success_is_what_info_says(ends):
    env = opened(success_ends=ends)
    env.reset(PICTURES, 0)
    outcomes = [env.step(np.ones(2)) for _ in range(5)]
    assert [info["success"] for *_, info in outcomes][-1]
    assert outcomes[-1][2] is ends and env.judge(PICTURES)


def test_actions_are_checked_and_cut():
    env = opened()
    env.reset(PICTURES, 0)
    before = env.observe().state[0, 0, :2]
    env.step(np.array([50.0, -50.0]))
    np.testing.assert_allclose(env.observe().state[0, 0, :2], before + np.array([1, -1]), rtol=1e-6)
    with pytest.raises(ShapeError):
        env.step(np.zeros(3))
    with pytest.raises(NotFiniteError):
        env.step(np.array([np.nan, 0.0]))


def test_without_a_name_it_is_the_pendulum():
    assert opened(()).tasks == ("Pendulum-v1",)


def test_sentences():
    assert opened("Pendulum-v1").instructions("Pendulum-v1") == ("Do Pendulum.",)
    assert opened(options={"sentence": "Swing up."}).instructions(PICTURES) == ("Swing up.",)
    assert opened().scene_partners(PICTURES) == ()


def test_ids_of_one_body_share_a_contract():
    again = "EmbodiaAgain-v0"
    env = opened((PICTURES, again))
    env.reset(again, 1)
    with pytest.raises(UnknownNameError):
        env.judge(PICTURES)
    env.reset(PICTURES, 1)
    wide = opened((PICTURES, "EmbodiaWide-v0"))
    with pytest.raises(ConfigError, match="other spaces"):
        wide.reset("EmbodiaWide-v0", 0)


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"task": "Pendulun-v1"}, UnknownNameError, "Pendulum-v1"),
        ({"task": "EmbodiaButtons-v0"}, ConfigError, "not one box"),
        ({"task": "no_such_module:Thing-v0"}, ConfigError, "import a module"),
        ({"options": {"rates": "1"}}, UnknownNameError, "rate_hz"),
        ({"options": {"representation": "joint_torques"}}, UnknownNameError, "joint_torque"),
    ],
)
def test_wrong_settings_are_answered(settings, error, text):
    with pytest.raises(error, match=text):
        opened(**settings)


def test_options_say_what_spaces_do_not():
    env = opened(options={"representation": "ee_position_delta", "rate_hz": "12.5"})
    assert env.contract.action.parts[0].representation == "ee_position_delta"
    assert env.contract.observation.rate_hz == 12.5


def test_processes_play_what_one_process_plays():
    from embodia.envs.slot import Start

    actions = np.random.default_rng(1).uniform(-2, 2, (4, 10, 1)).astype(np.float32)
    with VectorEnv("gymnasium", EnvConfig(tasks=("Pendulum-v1",)), slots=4, workers=2) as many:
        many.begin({slot: Start(task="Pendulum-v1", seed=slot) for slot in range(4)})
        took = many.run_chunks(dict(enumerate(actions)))
    for slot, chunk in enumerate(actions):
        alone = opened("Pendulum-v1")
        alone.reset("Pendulum-v1", slot)
        for action in chunk:
            sensed = alone.step(action)[0]
        np.testing.assert_array_equal(took[slot].state[-1], sensed.state[0, 0])


@pytest.mark.parametrize("rate", ["fast", "0", "-3", "nan", ""])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(ConfigError, match="rate"):
        envs.make("gymnasium", EnvConfig(options={"rate_hz": rate}))
