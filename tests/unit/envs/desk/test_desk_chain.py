"""Tasks that follow one another on the desk: words and world agree, and the experts do whole chains."""

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo is not installed")

from embodia import envs
from embodia.envs import EnvConfig
from embodia.envs.chaining import Chainable, draw_chain
from embodia.envs.desk import tasks
from embodia.envs.desk.tasks import chain
from embodia.generate import experts

pytestmark = pytest.mark.sim


@pytest.fixture(scope="module")
def env():
    env = envs.make("desk", EnvConfig(success_ends=False, height=32, width=32))
    yield env
    env.close()


def play(env, task, limit=200):
    expert = experts.make("desk", task)
    expert.begin()
    return any(env.step(expert.act(env))[4]["success"] for _ in range(limit))


def test_the_desk_can_be_chained(env):
    assert isinstance(env, Chainable)
    assert {skill.task for skill in env.skills()} == set(tasks.names(family="chain"))
    assert len({skill.category for skill in env.skills()}) >= 5


def test_a_start_in_words_is_a_start_in_the_world(env):
    for number, start in enumerate(env.starts()):
        env.begin(start, "chain/press-button", number)
        world = env.world
        assert (world.joint("drawer") > 0.09) == (start["drawer"] == "open")
        assert (world.joint("switch") > 0.4) == (start["switch"] == "on")
        assert (world.joint("switch") < -0.4) == (start["switch"] == "off")
        assert all(world.pose(f"{colour}-cube")[0][2] < 0.025 for colour in chain.CUBES)


def test_no_task_is_done_where_it_may_be_asked_first(env):
    for number, start in enumerate(env.starts()):
        for skill in env.skills():
            if any(case.fits(start) for case in skill.cases):
                env.begin(start, skill.task, number)
                assert not env.judge(skill.task)


def test_the_predicate_counts_from_the_moment_of_asking(env):
    env.begin(env.starts()[0], "chain/push-red-cube-left", 0)
    assert play(env, "chain/push-red-cube-left")
    env.ask("chain/push-red-cube-left")
    assert not env.judge("chain/push-red-cube-left")


def test_asking_changes_the_sentence_and_not_the_world(env):
    env.begin(env.starts()[0], "chain/press-button", 0)
    before = env.world.state()
    sensed = env.ask("chain/push-blue-cube-right")
    assert sensed.instruction == ("Push the blue cube to the right.",)
    assert np.array_equal(env.world.state(), before)


@pytest.mark.parametrize("seed", range(4))
def test_the_experts_do_chains_of_five(env, seed):
    drawn = draw_chain(env.skills(), env.starts(), 5, seed)
    env.begin(drawn.start, drawn.tasks[0], seed)
    for task in drawn.tasks:
        env.ask(task)
        assert play(env, task), (drawn, task)


def test_same_seed_same_scene_other_seed_other_scene(env):
    start = env.starts()[1]
    states = []
    for seed in (3, 3, 4):
        env.begin(start, "chain/press-button", seed)
        states.append(env.world.state())
    assert np.array_equal(states[0], states[1]) and not np.array_equal(states[0], states[2])
