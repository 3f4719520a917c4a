"""Undoing on Desk: after a deed the scene is ready for the task again, moved back by the robot and by nothing else."""

import numpy as np
import pytest

from embodia import envs
from embodia.core.errors import ConfigError, UnknownNameError
from embodia.envs import EnvConfig
from embodia.envs.desk.tasks import chain
from embodia.envs.desk.world import World
from embodia.generate.experts import make
from embodia.generate.undo import needs, ready, undo

DEEDS = ("chain/open-drawer", "chain/turn-on-switch", "chain/place-red-cube-bowl", "chain/stack-green-cube-blue-cube")


@pytest.fixture(scope="module")
def env():
    return envs.make("desk", EnvConfig(cameras=("top",), height=16, width=16, success_ends=False))


def begin(env, task, seed):
    start = next(item for item in chain.STARTS if all(item[word] == value for word, value in needs(task).items()))
    env.begin(start, task, seed)


def do(env, task, limit=200):
    expert = make("desk", task)
    return any(env.step(expert.act(env))[4]["success"] for _ in range(limit))


def test_every_start_is_ready_for_what_it_offers(env):
    for skill in chain.SKILLS:
        begin(env, skill.task, 1)
        assert ready(env.world, skill.task)


def test_a_closed_drawer_is_not_ready_to_be_closed(env):
    begin(env, "chain/open-drawer", 1)
    assert not ready(env.world, "chain/close-drawer") and not ready(env.world, "chain/stow-red-cube-drawer")


@pytest.mark.parametrize("task", DEEDS)
def test_a_deed_is_undone_by_the_robot(env, task):
    begin(env, task, 4)
    assert do(env, task) and not ready(env.world, task)
    time_s, steps = env.world.data.time, 0
    for action in undo(env.world, task, seed=2):
        assert np.abs(action).max() <= 1.0
        env.step(action.astype(np.float32))
        steps += 1
    assert ready(env.world, task) and 0 < steps <= 240
    assert env.world.data.time == pytest.approx(time_s + steps / env.world.body.rate_hz)


def test_what_is_ready_is_left_alone(env):
    begin(env, "chain/open-drawer", 1)
    before = {cube: env.world.pose(f"{cube}-cube")[0].copy() for cube in chain.CUBES}
    for action in undo(env.world, "chain/open-drawer", seed=2):
        env.step(action.astype(np.float32))
    assert all(np.allclose(env.world.pose(f"{cube}-cube")[0], at, atol=1e-3) for cube, at in before.items())


def test_it_ends_at_its_limit_when_it_cannot_succeed(env):
    begin(env, "chain/place-red-cube-bowl", 4)
    assert do(env, "chain/place-red-cube-bowl")
    actions = undo(env.world, "chain/place-red-cube-bowl", seed=2, limit=30)
    assert sum(1 for _ in actions) == 30 and not ready(env.world, "chain/place-red-cube-bowl")


def test_wrong_tasks_and_controls_are_refused(env):
    with pytest.raises(UnknownNameError, match="Did you mean 'chain/open-drawer'"):
        needs("chain/open-drawr")
    world = World(chain.lay(chain.STARTS[0], np.random.default_rng(0)), control="joint")
    with pytest.raises(ConfigError, match="ee control"):
        next(undo(world, "chain/open-drawer", seed=0))
