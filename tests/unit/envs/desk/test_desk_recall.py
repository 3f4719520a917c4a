"""Memory on the desk: shown, then gone; what was shown decides, and only afterwards."""

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo is not installed")

from embodia import envs
from embodia.envs import EnvConfig
from embodia.envs.desk.tasks import recall
from embodia.generate import experts

pytestmark = pytest.mark.sim
REST = np.array([0.0, 0.0, 0.0, 0.0, 0.0, -1.0], dtype=np.float32)


@pytest.fixture(scope="module")
def env():
    env = envs.make("desk", EnvConfig(cameras=("top",), success_ends=False, height=64, width=64))
    yield env
    env.close()


def picture(env):
    return env.observe().images["top"][0, 0].astype(int)


def rest(env, steps):
    for _ in range(steps):
        env.step(REST)


def play(env, task, acted, seed, limit=120):
    env.reset(task, seed)
    expert = experts.make("desk", acted)
    expert.begin()
    return any(env.step(expert.act(env))[4]["success"] for _ in range(limit))


def colour_of(env, number):
    model = env.world.model
    return model.geom_rgba[model.geom_bodyid == model.body(f"fixture{number}/part").id][0]


def test_one_button_lights_up_and_goes_out(env):
    env.reset("recall/lit", 0)
    first, second = env.world.scene.fixtures
    assert np.allclose(colour_of(env, 0), recall.LIT) and np.allclose(colour_of(env, 1), second.rgba)
    before = picture(env)
    rest(env, 12)
    assert np.allclose(colour_of(env, 0), first.rgba) and np.allclose(colour_of(env, 1), second.rgba)
    assert np.abs(picture(env) - before).max() > 40


def test_two_buttons_light_up_in_turn(env):
    env.reset("recall/order", 1)
    seen = []
    for _ in range(3):
        seen.append([bool(np.allclose(colour_of(env, number), recall.LIT)) for number in (0, 1)])
        rest(env, 10)
    assert seen == [[True, False], [False, True], [False, False]]


def test_the_mark_goes_away(env):
    env.reset("recall/place/red-cylinder", 0)
    before = picture(env)
    rest(env, 12)
    after = picture(env)
    assert np.abs(after - before).max() > 40
    rest(env, 1)
    assert np.abs(picture(env) - after).max() < 30


@pytest.mark.parametrize("task", ["recall/lit", "recall/unlit", "recall/order", "recall/reversed"])
def test_experts_remember_and_their_twins_fail(env, task):
    twin = env.scene_partners(task)[0]
    assert [play(env, task, task, seed) for seed in range(2)] == [True, True]
    assert not play(env, task, twin, 0)


def test_the_expert_pushes_to_where_the_mark_was(env):
    task = "recall/place/blue-cylinder"
    assert play(env, task, task, 0)
    assert not play(env, task, env.scene_partners(task)[0], 0)


def test_pressing_the_wrong_one_first_spoils_it(env):
    env.reset("recall/lit", 0)
    task, memory, world = recall.TASKS[0], {"since_s": -10.0, "pressed": (), "down": ""}, env.world
    first, second = recall.buttons(world)
    joints = {name: world.model.joint(f"fixture{number}/part") for number, name in enumerate((first, second))}
    found = []
    for name in (second, first):
        for depth in (1.0, 0.0):
            joint = joints[name]
            world.data.qpos[int(joint.qposadr[0])] = depth * joint.range[1]
            found.append(task.success(world, memory))
    assert memory["pressed"] == (second, first) and not any(found)


def test_what_was_hidden_or_lit_is_as_it_was_in_the_next_episode(env):
    env.reset("recall/place/red-cylinder", 0)
    rest(env, 12)
    mark = env.world.model.body("fixture0").id
    assert env.world.model.geom_rgba[env.world.model.geom_bodyid == mark][0, 3] == 0.0
    env.reset("push/red-cylinder/mark", 0)
    mark = env.world.model.body("fixture0").id
    assert env.world.model.geom_rgba[env.world.model.geom_bodyid == mark][0, 3] == 1.0
    env.reset("recall/lit", 3)
    env.reset("recall/lit", 4)
    assert np.allclose(colour_of(env, 1), env.world.scene.fixtures[1].rgba)


def test_memory_counts_from_when_it_is_asked(env):
    env.reset("recall/order", 2)
    rest(env, 15)
    env.ask("recall/order")
    assert np.allclose(colour_of(env, 0), recall.LIT)
    rest(env, 10)
    assert np.allclose(colour_of(env, 1), recall.LIT)


def test_pressing_before_the_show_is_over_spoils_it(env):
    env.reset("recall/lit", 0)
    world = env.world
    memory = {"since_s": float(world.data.time), "pressed": (), "down": ""}
    first = recall.buttons(world)[0]
    joint = world.model.joint("fixture0/part")
    world.data.qpos[int(joint.qposadr[0])] = joint.range[1]
    assert world.joint(first) > 0.9 and not recall.TASKS[0].success(world, memory)
    rest(env, 12)
    assert not recall.TASKS[0].success(world, memory) and memory["pressed"] != (first,)
