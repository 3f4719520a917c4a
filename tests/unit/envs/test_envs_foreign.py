"""Adapters of benchmarks whose assets cannot be had: the whole contract, against stand-ins for their public calls."""

import sys
from dataclasses import replace

import foreign_fakes as fakes
import numpy as np
import pytest

from embodia.core.errors import ConfigError, CorruptFileError, EnvironmentFailure, MissingExtraError, MissingFileError
from embodia.envs import CameraView, EnvConfig, make
from embodia.envs.adapters._foreign import seeded, sized
from embodia.envs.chaining import Chainable, draw_chain
from embodia.envs.conformance import check_env
from embodia.evaluation.chains import Chained, ChainRule

SMALL = EnvConfig(height=60, width=80)


def zeros(env, **changes):
    action = np.zeros(env.contract.action.dim, np.float32)
    for index, value in changes.items():
        action[int(index[1:])] = value
    return action


@pytest.fixture
def simpler(monkeypatch):
    fakes.simpler(monkeypatch)
    return make("simpler", replace(SMALL, tasks=("widowx_carrot_on_plate",)))


@pytest.fixture
def rlbench(monkeypatch):
    fakes.rlbench(monkeypatch)
    return make("rlbench", replace(SMALL, cameras=("front", "wrist")))


@pytest.fixture
def robocasa(monkeypatch):
    fakes.robocasa(monkeypatch)
    return make("robocasa", SMALL)


@pytest.fixture
def calvin(monkeypatch, tmp_path):
    return make("calvin", replace(SMALL, options=fakes.calvin(monkeypatch, tmp_path)))


@pytest.fixture
def robotwin(monkeypatch, tmp_path):
    options = fakes.robotwin(monkeypatch, tmp_path)
    return make("robotwin", replace(SMALL, options=options, tasks=("beat_block_hammer",)))


@pytest.mark.parametrize("name", ["simpler", "rlbench", "robocasa", "robotwin"])
def test_keeps_every_promise(name, request):
    assert "images" in check_env(request.getfixturevalue(name))


def test_calvin_keeps_every_promise(calvin):
    assert "images" in check_env(calvin, ("turn_on_lightbulb", "open_drawer"))


@pytest.mark.parametrize(
    ("family", "package"),
    [("simpler", "simpler_env"), ("rlbench", "rlbench"), ("robocasa", "robocasa"), ("calvin", "calvin_env")],
)
def test_a_missing_benchmark_is_named_with_its_source(family, package, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=f"{package}.*repository"):
        make(family, SMALL)


def test_a_missing_part_of_a_benchmark_is_named_at_reset(rlbench, calvin, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyrep.errors", None)
    with pytest.raises(MissingExtraError, match="pyrep"):
        rlbench.reset("close_jar", 0)
    monkeypatch.setitem(sys.modules, "calvin_agent.evaluation.utils", None)
    with pytest.raises(MissingExtraError, match="calvin_agent"):
        calvin.reset("open_drawer", 0)


def test_simpler_has_two_bodies_with_opposite_grippers(simpler):
    google = make("simpler", replace(SMALL, tasks=("google_robot_open_drawer",)))
    assert (simpler.contract.action.rate_hz, google.contract.action.rate_hz) == (5.0, 3.0)
    polarities = [env.contract.action.parts[2].polarity for env in (simpler, google)]
    assert polarities == ["positive_opens", "positive_closes"]
    with pytest.raises(ConfigError, match="two|one contract"):
        make("simpler", EnvConfig(tasks=("widowx_stack_cube", "google_robot_open_drawer")))


def test_simpler_tells_the_episodes_sentence_and_success(simpler):
    sensed = simpler.reset("widowx_carrot_on_plate", 7)
    assert sensed.instruction == ("sentence of 7",)
    for _ in range(3):
        _, reward, terminated, _, info = simpler.step(zeros(simpler, a2=1.0))
    assert info["success"] and terminated and reward == 1.0
    simpler.close()
    assert fakes.SimplerScene.made[0].closed


def test_simpler_actions_are_metres(simpler):
    before = simpler.reset("widowx_carrot_on_plate", 0).state[0, 0]
    after = simpler.step(zeros(simpler, a0=0.03))[0].state[0, 0]
    assert after[0] - before[0] == pytest.approx(0.03, abs=1e-6)


def test_rlbench_draws_the_variation_and_leaves_numpy_alone(rlbench):
    np.random.seed(5)
    expected = np.random.uniform()
    np.random.seed(5)
    assert rlbench.reset("close_jar", 6).instruction == ("variation 2",)
    assert np.random.uniform() == expected


def test_rlbench_normalises_rotations_and_opens_on_one(rlbench):
    rlbench.reset("close_jar", 0)
    sensed, reward, _, truncated, _ = rlbench.step(zeros(rlbench, a2=0.5, a6=0.3, a7=1.0))
    assert np.allclose(sensed.state[0, 0], [0, 0, 0.5, 0, 0, 0, 1, 1]) and not truncated and reward == 0.0
    assert rlbench.step(zeros(rlbench, a2=1.5))[4]["success"]


def test_rlbench_a_keyframe_out_of_reach_ends_the_episode(rlbench):
    rlbench.reset("close_jar", 0)
    _, _, terminated, truncated, info = rlbench.step(zeros(rlbench, a2=-1.4))
    assert truncated and not terminated and info["unstable"] and not info["success"]


def test_rlbench_renders_only_what_is_asked_for(rlbench):
    rlbench.reset("close_jar", 0)
    config = fakes.Bench.last.config
    assert [name for name in config.names if getattr(config, f"{name}_camera").rgb] == ["front", "wrist"]
    rlbench.close()
    assert fakes.Bench.last.down


def test_robocasa_kitchen_sentence_and_upright_pictures(robocasa):
    first = robocasa.reset("OpenDrawer", 3)
    again = robocasa.reset("OpenDrawer", 4)
    assert first.instruction != again.instruction and first.instruction[0].startswith("open cabinet")
    picture = robocasa.observe().images["robot0_eye_in_hand"][0, 0]
    assert picture[0].mean() > picture[-1].mean()
    for _ in range(4):
        result = robocasa.step(zeros(robocasa, a2=1.0))
    assert result[4]["success"]


def test_robocasa_with_another_controller_is_refused(monkeypatch):
    class Narrow(fakes.Kitchen):
        dim = 7

    fakes.robocasa(monkeypatch, Narrow)
    with pytest.raises(EnvironmentFailure, match="takes 7 numbers"):
        make("robocasa", SMALL).reset("OpenDrawer", 0)


def test_calvin_judges_from_the_moment_of_asking(calvin):
    calvin.reset("turn_on_lightbulb", 0)
    switch = zeros(calvin, a2=1.0, a6=1.0)
    assert calvin.step(switch)[4]["success"]
    calvin.ask("turn_off_lightbulb")
    assert not calvin.judge("turn_off_lightbulb") and not calvin.step(zeros(calvin))[4]["success"]
    assert calvin.step(switch)[4]["success"]


def test_calvin_says_the_benchmarks_sentence(calvin):
    assert calvin.reset("turn_on_lightbulb", 0).instruction[0].startswith("toggle the light switch")
    assert calvin.reset("open_drawer", 0).instruction == ("Open drawer.",)


def test_calvin_plays_chains(calvin):
    assert isinstance(calvin, Chainable)
    env = Chained(calvin, ChainRule(length=5, steps_each=3))
    sensed = env.reset("chain", 0)
    assert env.chain == draw_chain(calvin.skills(), calvin.starts(), 5, 0)
    assert sensed.instruction == calvin.instructions(env.chain.tasks[0])
    flags = [env.step(zeros(calvin))[3] for _ in range(3)]
    assert flags == [False, False, True]


def test_calvin_a_task_that_only_follows_cannot_begin(calvin):
    with pytest.raises(EnvironmentFailure, match="chain"):
        calvin.reset("stack_block", 0)


def test_calvin_table_of_skills():
    from embodia.envs.adapters._calvin_skills import skills, starts

    found = {skill.task: skill for skill in skills()}
    assert len(found) == 34 and len(starts()) == 192
    assert len({skill.category for skill in found.values()}) == 9
    chains = [draw_chain(skills(), starts(), 5, seed) for seed in range(300)]
    assert {task for chain in chains for task in chain.tasks} == set(found)
    for chain in chains:
        for before, after in zip(chain.tasks, chain.tasks[1:], strict=False):
            if before.startswith("lift"):
                assert after in ("stack_block", "place_in_slider", "place_in_drawer")


def test_calvin_needs_its_folders(monkeypatch, tmp_path):
    options = fakes.calvin(monkeypatch, tmp_path)
    with pytest.raises(ConfigError, match="option settings"):
        make("calvin", EnvConfig(options={"dataset": options["dataset"]})).reset("open_drawer", 0)
    with pytest.raises(MissingFileError):
        make("calvin", EnvConfig(options={**options, "settings": "/nowhere"})).reset("open_drawer", 0)


def test_robotwin_settings_sentence_and_success(robotwin):
    sensed = robotwin.reset("beat_block_hammer", 1)
    assert sensed.instruction == ("Beat the block with the hammer.",)
    given = robotwin.simulation._env.given
    assert given["dual_arm_embodied"] and (given["head_camera_h"], given["render_freq"]) == (240, 0)
    assert not robotwin.step(zeros(robotwin, a0=1.0))[4]["success"]
    assert robotwin.step(zeros(robotwin, a0=2.5))[4]["success"]


def test_robotwin_a_scene_that_falls_over_is_an_error_that_names_the_seed(robotwin):
    with pytest.raises(EnvironmentFailure, match="seed 13"):
        robotwin.reset("beat_block_hammer", 13)


def test_robotwin_names_what_a_checkout_lacks(robotwin, tmp_path):
    options = {"checkout": str(tmp_path)}
    with pytest.raises(MissingFileError, match="no task"):
        make("robotwin", EnvConfig(options=options, tasks=("lift_pot",))).reset("lift_pot", 0)
    with pytest.raises(MissingExtraError, match="checkout"):
        make("robotwin", EnvConfig())
    (tmp_path / "task_config" / "demo_clean.yml").write_text("- a list")
    with pytest.raises(CorruptFileError):
        robotwin.reset("beat_block_hammer", 1)


def test_pictures_are_brought_to_size():
    view = CameraView(name="a", height=16, width=32)
    whole = np.zeros((64, 128, 4), np.uint8)
    whole[:, 64:] = 200
    small = sized(whole, view)
    assert small.shape == (16, 32, 3) and small[:, :16].max() == 0 and small[:, 16:].min() == 200
    assert np.array_equal(sized(whole / 255.0, view), small)
    with pytest.raises(EnvironmentFailure, match=r"\(H W 3\)"):
        sized(np.zeros((4, 4)), view)


def test_seeding_is_undone_even_after_an_error():
    np.random.seed(3)
    expected = np.random.uniform(size=2)
    np.random.seed(3)
    first = np.random.uniform()
    with pytest.raises(RuntimeError), seeded(1):
        np.random.uniform(size=10)
        raise RuntimeError
    assert [first, np.random.uniform()] == expected.tolist()
