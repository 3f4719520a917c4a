"""Worlds against the simulator itself: exact state, questions without effect, models rewritten in place."""

import json

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo is not installed")

from embodia.core import config
from embodia.core.errors import ConfigError, UnknownNameError
from embodia.envs.desk.build import Models, compile_scene
from embodia.envs.desk.scenes import Fixture, Look, Physics, Scene, Thing
from embodia.envs.desk.world import World
from embodia.generate.experts._desk_motion import go, hand_action, stay

BLOCK = Thing(name="block", size_m=(0.021, 0.021, 0.021), position_m=(0.05, 0.05, 0.021))
BALL = Thing(name="ball", shape="sphere", size_m=(0.02,), position_m=(0.05, -0.1, 0.02))


def everything(shift=0.0):
    kinds = {
        "drawer": (0.08, 0.07, 0.05),
        "button": (0.02, 0.01),
        "switch": (0.03, 0.03, 0.06),
        "socket": (0.016, 0.04, 0.02),
        "bin": (0.06, 0.06, 0.03),
        "bowl": (0.05, 0.02),
        "shelf": (0.08, 0.05, 0.12),
        "wall": (0.02, 0.05, 0.05),
        "mark": (0.04,),
    }
    fixtures = tuple(
        Fixture(kind=kind, name=kind, size_m=size, position_m=(0.2 + shift, 0.2 * k - 0.8, 0.0), yaw_rad=0.1 * k)
        for k, (kind, size) in enumerate(kinds.items())
    )
    things = (
        BLOCK,
        BALL,
        Thing(name="cup", shape="cup", size_m=(0.035, 0.03), position_m=(-0.1, 0.1 + shift, 0.03)),
        Thing(name="can", shape="cylinder", size_m=(0.02, 0.03), position_m=(-0.1, -0.1, 0.03), mass_kg=0.1 + shift),
        Thing(name="rod", shape="capsule", size_m=(0.01, 0.03), position_m=(-0.1, -0.2, 0.04)),
        Thing(name="egg", shape="ellipsoid", size_m=(0.02, 0.025, 0.02), position_m=(-0.1, 0.25, 0.03)),
        Thing(name="plate", movable=False, size_m=(0.03, 0.03, 0.01), position_m=(-0.2, 0.3, 0.01)),
    )
    return Scene(things=things, fixtures=fixtures, look=Look(brightness=1.0 - shift))


def wild(world, steps, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        world.apply(rng.uniform(-1, 1, world.action_spec.dim))


@pytest.mark.parametrize("body", ["arm7", "arm6", "bimanual", "mobile", "hand"])
@pytest.mark.parametrize("control", ["ee", "joint"])
def test_a_state_put_back_plays_the_same_future(body, control):
    world = World(Scene(body=body, things=(BLOCK, BALL), physics=Physics(delay_steps=2)), control=control)
    wild(world, 5)
    kept = world.state()
    wild(world, 10, seed=1)
    future = world.state()
    wild(world, 3, seed=2)
    world.set_state(kept)
    assert np.array_equal(world.state(), kept)
    wild(world, 10, seed=1)
    assert np.array_equal(world.state(), future)


def test_questions_do_not_change_the_future():
    scene = Scene(things=(BLOCK, BALL))
    quiet, asked = World(scene), World(scene)
    rng = np.random.default_rng(0)
    for _ in range(30):
        action = rng.uniform(-1, 1, 6) * (1, 1, 1, 0.2, 0, 1) - (0, 0, 0.3, 0, 0, 0)
        quiet.apply(action)
        asked.apply(action)
        asked.pose("ball"), asked.contact_force("block"), asked.grip_force(), asked.holding("ball"), asked.tool()
    assert np.array_equal(quiet.state(), asked.state())


def test_a_rewritten_model_is_the_freshly_compiled_one():
    models = Models()
    first, second = everything(), everything(0.05)
    kept = models.model(first)
    again = models.model(second)
    assert again is kept
    fresh = compile_scene(second)
    for name in dir(fresh):
        value = getattr(fresh, name)
        if isinstance(value, np.ndarray):
            assert np.array_equal(value, getattr(again, name), equal_nan=True), name
    assert np.array_equal(again.vis.headlight.ambient, fresh.vis.headlight.ambient)
    assert again.stat.meaninertia == fresh.stat.meaninertia


def test_another_structure_gets_another_model():
    models = Models()
    assert models.model(Scene(things=(BLOCK,))) is not models.model(Scene(things=(BLOCK, BALL)))


def test_scenes_go_through_json():
    scene = everything()
    assert config.from_json(Scene, json.loads(json.dumps(config.to_json(scene)))) == scene


def test_scenes_refuse_what_cannot_be():
    with pytest.raises(ConfigError):
        Thing(name="x", shape="sphere", size_m=(0.1, 0.1))
    with pytest.raises(ConfigError):
        Scene(things=(BLOCK, BLOCK))
    with pytest.raises(ConfigError):
        World(Scene(fixtures=(Fixture(kind="button", name="b", size_m=(0.1,)),)))
    with pytest.raises(UnknownNameError):
        World(Scene()).pose("nothing")


def test_everything_rests_where_it_was_put():
    world = World(everything())
    before = {name: world.pose(name)[0] for name in world.names}
    world.settle(1.0)
    for name in world.names:
        assert np.linalg.norm(world.pose(name)[0][:2] - before[name][:2]) < 0.01, name


def test_masses_weigh_on_the_table():
    world = World(Scene(things=(BLOCK,), physics=Physics(mass=3.0)))
    world.settle(1.0)
    assert world.contact_force("block") == pytest.approx(3.0 * BLOCK.mass_kg * 9.81, rel=0.01)
    assert world.touching("block", "table") and not world.touching("block", "hand")


def test_delayed_actions_come_late():
    now, late = (World(Scene(physics=Physics(delay_steps=steps))) for steps in (0, 3))
    action = np.array([1.0, 0, 0, 0, 0, -1])
    for _ in range(3):
        now.apply(action)
        late.apply(action)
    assert now.tool()[0][0] > late.tool()[0][0] + 0.02
    for _ in range(3):
        late.apply(action)
    assert late.tool()[0][0] == pytest.approx(now.tool()[0][0], abs=2e-3)


def grasp(world, name, *, yaw=0.0):
    place = world.pose(name)[0]
    low = np.array([place[0], place[1], max(0.018, place[2])])
    over, lifted = (low + np.array([0.0, 0.0, up]) for up in (0.1, 0.12))
    for script in (
        go(world, over, yaw=yaw),
        go(world, low, yaw=yaw),
        stay(world, 8, yaw=yaw, closed=1.0),
        go(world, lifted, yaw=yaw, closed=1.0),
    ):
        for action in script:
            world.apply(action)


@pytest.mark.parametrize("body", ["arm7", "arm6", "hand"])
@pytest.mark.parametrize(
    "thing",
    [
        BLOCK,
        BALL,
        Thing(name="can", shape="cylinder", size_m=(0.02, 0.03), position_m=(0.0, 0.1, 0.03)),
        Thing(name="rod", shape="capsule", size_m=(0.012, 0.02), position_m=(0.0, 0.1, 0.032)),
        Thing(name="egg", shape="ellipsoid", size_m=(0.022, 0.02, 0.02), position_m=(0.0, 0.1, 0.02)),
        Thing(name="cup", shape="cup", size_m=(0.032, 0.03), position_m=(0.0, 0.1, 0.03)),
    ],
    ids=lambda thing: thing.name,
)
def test_what_is_grasped_is_kept_through_a_swing(body, thing):
    world = World(Scene(body=body, things=(thing,)))
    world.settle()
    grasp(world, thing.name)
    held = world.pose(thing.name)[0] - world.tool()[0]
    for goal, yaw in (((0.1, 0.1, 0.2), 0.6), ((-0.05, -0.1, 0.15), -0.6)):
        for action in go(world, goal, yaw=yaw, closed=1.0):
            world.apply(action)
    for action in stay(world, 20, yaw=-0.6, closed=1.0):
        world.apply(action)
    assert world.holding(thing.name) and not world.touching(thing.name, "table")
    assert world.grip_force() > 2.0
    now = world.pose(thing.name)[0] - world.tool()[0]
    assert abs(np.linalg.norm(now) - np.linalg.norm(held)) < 0.012


def test_a_half_closed_gripper_grips_gently():
    forces = []
    for closed in (0.7, 1.0):
        world = World(Scene(things=(BLOCK,)))
        world.settle()
        for action in go(world, (0.05, 0.05, 0.021)):
            world.apply(action)
        for action in stay(world, 15, closed=closed):
            world.apply(action)
        forces.append(world.grip_force())
    assert 1.0 < forces[0] < 0.7 * forces[1]


def test_a_drawer_is_pulled_open_and_a_button_pressed():
    drawer = Fixture(kind="drawer", name="drawer", size_m=(0.08, 0.07, 0.05), position_m=(0.15, 0.0, 0.0))
    button = Fixture(kind="button", name="button", size_m=(0.025, 0.01), position_m=(0.0, 0.25, 0.0))
    world = World(Scene(fixtures=(drawer, button)))
    world.settle()
    assert abs(world.joint("drawer")) < 0.01 and world.joint("button") < 0.2
    handle = np.array([0.05, 0.0, 0.053])
    above, pulled, over = (handle + np.array(by) for by in ((0, 0, 0.1), (-0.1, 0, 0), (-0.1, 0, 0.15)))
    for script in (
        go(world, above, yaw=1.57, closed=0.65),
        stay(world, 10, yaw=1.57, closed=0.65),
        go(world, handle, yaw=1.57, closed=0.65),
        stay(world, 8, yaw=1.57, closed=1.0),
        go(world, pulled, yaw=1.57, closed=1.0, limit=20),
        stay(world, 4, yaw=1.57, closed=0.65),
        go(world, over, closed=0.65),
        go(world, (0.0, 0.25, 0.12), closed=1.0),
        go(world, (0.0, 0.25, 0.03), closed=1.0, limit=12),
    ):
        for action in script:
            world.apply(action)
    assert world.joint("drawer") > 0.06
    assert world.joint("button") > 0.7


def test_wheels_drive_in_the_frame_of_the_cart():
    world = World(Scene(body="mobile", start_base=(0.5, 0.5, np.pi / 2)))
    action = hand_action(world, world.tool()[0])
    action[6:] = (1.0, 0.0, 0.0)
    for _ in range(20):
        world.apply(action)
    x, y, yaw = world.data.qpos[:3]
    assert y - 0.5 == pytest.approx(world.body.drive_m_s, rel=0.15) and abs(x - 0.5) < 0.05
    assert yaw == pytest.approx(np.pi / 2, abs=0.1)
