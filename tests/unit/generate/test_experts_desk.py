"""Desk's experts as a whole: they cover every task, answer to disturbances, repeat exactly, say what they cannot do."""

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo is not installed")

from embodia import envs
from embodia.core.errors import ConfigError, UnknownNameError
from embodia.core.seeds import generator
from embodia.envs import EnvConfig
from embodia.envs.desk import tasks
from embodia.envs.desk.build import Models
from embodia.envs.desk.world import World
from embodia.generate.experts import _desk_scripts
from embodia.generate.experts import desk as experts

pytestmark = pytest.mark.sim

MODELS = Models()
ONE_EACH = tuple({tasks.get(name).family: name for name in tasks.names(body=None)}.values())
"""A task of every family."""
HELD_OUT = tuple({tasks.get(name).family: name for name in tasks.names("held_out")}.values())
"""A combination that is never trained, of every family that has one."""


def begin(name, seed):
    """A world at the start of a task."""
    world = World(tasks.get(name).scene(generator(seed, "desk", name)), models=MODELS)
    world.settle()
    return world


def play(name, seed, *, style="direct", limit=240, meddle=None, world=None):
    """The step at which `name` holds, or None; `meddle(world, step)` may change the world before every step."""
    world, task = world or begin(name, seed), tasks.get(name)
    expert, memory = experts.build(name, style), task.begin(world)
    for step in range(limit):
        if meddle is not None:
            meddle(world, step)
        world.apply(expert.choose(world))
        if task.success(world, memory):
            return step
    return None


def shift(world, number, offset):
    """Take thing `number` somewhere else, at rest."""
    address = int(world.model.joint(f"thing{number}").qposadr[0])
    velocity = int(world.model.joint(f"thing{number}").dofadr[0])
    world.data.qpos[address : address + 3] += offset
    world.data.qvel[velocity : velocity + 6] = 0.0
    world._fresh = False


def test_every_family_has_a_script_and_every_verb_of_the_arm_too():
    assert {tasks.get(name).family for name in tasks.names(body=None)} <= set(experts.SCRIPTS)
    arm = [tasks.get(name) for name in tasks.names() if tasks.get(name).family in _desk_scripts._FAMILIES]
    assert {task.request.verb for task in arm} == set(_desk_scripts.VERBS)


@pytest.mark.parametrize("name", ONE_EACH)
@pytest.mark.parametrize("style", experts.STYLES)
def test_actions_are_actions_whatever_the_task_and_style(name, style):
    world, expert = begin(name, 11), experts.build(name, style)
    for _ in range(12):
        action = expert.choose(world)
        assert action.shape == (world.action_spec.dim,) and action.dtype == np.float32
        assert np.isfinite(action).all() and np.abs(action).max() <= 1.0
        world.apply(action)


@pytest.mark.parametrize("name", HELD_OUT)
def test_combinations_that_are_never_trained_can_be_done(name):
    assert tasks.get(name).held_out
    assert play(name, 2) is not None


@pytest.mark.parametrize("name", ["place/red-cube/bowl", "push/red-cube/mark", "stack/red-cube/blue-cube"])
def test_a_thing_that_is_moved_away_is_followed(name):
    undisturbed = play(name, 3)
    number = [item.name for item in begin(name, 3).scene.things].index("red-cube")

    def meddle(world, step):
        if step == 8:
            shift(world, number, (-0.03, 0.02, 0.0))

    late = play(name, 3, meddle=meddle)
    assert undisturbed is not None and late is not None


def test_a_thing_that_is_knocked_out_of_the_hand_is_picked_up_again():
    name, taken = "place/red-cube/bowl", []

    def meddle(world, step):
        number = [item.name for item in world.scene.things].index("red-cube")
        if not taken and world.holding("red-cube") and world.pose("red-cube")[0][2] > 0.08:
            shift(world, number, np.array([-0.12, 0.0, 0.03]) - (0.0, 0.0, world.pose("red-cube")[0][2]))
            taken.append(step)

    found = play(name, 6, meddle=meddle)
    assert taken and found is not None and found > taken[0] + 10


@pytest.mark.parametrize("name", ["drawer/open/red", "drawer/open/purple", "chain/open-drawer"])
def test_opening_never_begins_with_closing(name):
    target = tasks.get(name).target
    for seed in range(3):
        openings = []

        def watch(world, step, seen=openings):
            seen.append(world.joint(target))

        assert play(name, seed, meddle=watch) is not None
        assert min(openings) > openings[0] - 0.004 and len(openings) < 45


@pytest.mark.long
def test_hardly_ever_is_something_else_done_on_the_way():
    done, tried = [], 0
    for seed, task in enumerate(tasks.get(name) for name in tasks.names() if not name.startswith("chain")):
        other = tasks.get(task.partners[seed % len(task.partners)])
        world = begin(task.name, seed)
        expert, memory, theirs, after = experts.build(other.name), task.begin(world), other.begin(world), 0
        held = False
        for _ in range(160):
            world.apply(expert.choose(world))
            held = task.success(world, memory) or held
            after += other.success(world, theirs)
            if after > 6:
                break
        tried += 1
        done += [(task.name, other.name)] if held else []
    assert tried > 400 and len(done) <= 0.02 * tried, done


def test_after_success_the_expert_goes_on_and_does_no_harm():
    name = "place/red-cube/bowl"
    world, task = begin(name, 1), tasks.get(name)
    expert, memory = experts.build(name), task.begin(world)
    held = []
    for _ in range(240):
        world.apply(expert.choose(world))
        held.append(task.success(world, memory))
    first = held.index(True)
    assert sum(held[first:]) > 0.3 * len(held[first:])


def test_an_expert_begins_anew_in_a_new_world_and_after_begin():
    name = "push/green-cube/left"
    expert = experts.build(name)

    def first(world):
        actions = []
        for _ in range(6):
            actions.append(expert.choose(world))
            world.apply(actions[-1])
        return np.array(actions)

    one, other = first(begin(name, 0)), first(begin(name, 1))
    expert.begin()
    again = first(begin(name, 0))
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_in_an_environment_it_is_the_same_expert():
    name = "drawer/open/red"
    env = envs.make("desk", EnvConfig(success_ends=False))
    env.reset(name, 4)
    inside, outside, world = experts.build(name), experts.build(name), begin(name, 4)
    for _ in range(30):
        one, two = inside.act(env), outside.choose(world)
        assert np.array_equal(one, two)
        env.step(one)
        world.apply(two)
    env.close()


def test_two_routes_and_sloppy_operators_are_drawn_from_the_start_alone():
    for style in ("two_routes", "sloppy"):
        habits = []
        for seed in (0, 0, 1, 2, 3, 4):
            world, expert = begin("reach/red-cube", seed), experts.build("reach/red-cube", style)
            expert.choose(world)
            habits.append(expert._hand.habit)
        assert habits[0] == habits[1] and len(set(habits)) >= 2
    assert all(0.5 <= habit.speed <= 1.0 and 0.1 <= habit.wander <= 0.3 for habit in habits)


def test_sloppy_operators_take_longer():
    quick = [play("reach/red-cube", seed) for seed in range(6)]
    slow = [play("reach/red-cube", seed, style="sloppy") for seed in range(6)]
    assert None not in quick and None not in slow and np.mean(slow) > 1.2 * np.mean(quick)


def test_what_an_expert_cannot_do_is_an_error():
    with pytest.raises(UnknownNameError, match="sloppy"):
        experts.build("reach/red-cube", "slopy")
    with pytest.raises(UnknownNameError, match="reach/red-cube"):
        experts.build("reach/red-cub")
    joints = World(tasks.get("reach/red-cube").scene(generator(0, "x")), control="joint", models=MODELS)
    with pytest.raises(ConfigError, match="ee control"):
        experts.build("reach/red-cube").choose(joints)

    class Elsewhere:
        provenance = envs.make("desk", EnvConfig()).provenance

    with pytest.raises(ConfigError, match="cannot act"):
        experts.build("reach/red-cube").act(Elsewhere())
