"""What a scene says about looks and physics is what happens, and looks never touch physics."""

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo is not installed")

from embodia.envs.desk.raster import Raster
from embodia.envs.desk.scenes import Fixture, Look, Physics, Scene, Thing
from embodia.envs.desk.world import World
from embodia.envs.protocol import CameraView
from embodia.generate.experts._desk_motion import go, stay

BLOCK = Thing(name="block", size_m=(0.02, 0.02, 0.02), rgba=(0.1, 0.2, 0.9, 1.0))
VIEW = (CameraView(name="front", height=48, width=48),)


def lift(physics):
    world = World(Scene(things=(BLOCK,), physics=physics))
    world.settle()
    for script in (
        go(world, (0.0, 0.0, 0.1)),
        go(world, (0.0, 0.0, 0.022)),
        stay(world, 8, closed=1.0),
        go(world, (0.0, 0.0, 0.15), closed=1.0, speed=0.5),
        stay(world, 20, closed=1.0),
    ):
        for action in script:
            world.apply(action)
    return world.pose("block")[0][2] > 0.08


def test_without_friction_nothing_can_be_lifted():
    assert lift(Physics())
    assert not lift(Physics(friction=0.002))


def test_a_heavy_thing_slips_where_a_light_one_does_not():
    assert lift(Physics(mass=4.0))
    assert not lift(Physics(mass=200.0))


def test_damped_joints_are_slower():
    moved = []
    for damping in (1.0, 300.0):
        world = World(Scene(physics=Physics(damping=damping)))
        start = world.tool()[0]
        for _ in range(3):
            world.apply(np.array([0.0, 1.0, 0.0, 0.0, 0.0, -1.0]))
        moved.append(np.linalg.norm(world.tool()[0] - start))
    assert moved[1] < 0.8 * moved[0]


def picture(look):
    world = World(Scene(things=(BLOCK,), look=look))
    world.refresh()
    return Raster(world.model, VIEW).draw(world.data)["front"].rgb.astype(int)


@pytest.mark.parametrize(
    "look",
    [
        Look(table_rgb=(0.1, 0.5, 0.1)),
        Look(backdrop_rgb=(0.9, 0.1, 0.1)),
        Look(brightness=0.5),
        Look(light_direction=(0.8, 0.0, -0.3)),
        Look(camera_shift_m=(0.0, 0.1, 0.0)),
        Look(camera_turn_deg=(0.0, 8.0, 0.0)),
        Look(distractors=(Thing(name="toy", position_m=(0.3, 0.2, 0.03), size_m=(0.03, 0.03, 0.03)),)),
    ],
    ids=["table", "backdrop", "brightness", "light", "shift", "turn", "distractor"],
)
def test_looks_change_pictures_and_not_physics(look):
    assert np.abs(picture(look) - picture(Look())).mean() > 0.05
    plain, dressed = (World(Scene(things=(BLOCK,), look=item)) for item in (Look(), look))
    rng = np.random.default_rng(0)
    for _ in range(20):
        action = rng.uniform(-1, 1, 6)
        plain.apply(action)
        dressed.apply(action)
    assert np.array_equal(plain.data.qpos, dressed.data.qpos) and np.array_equal(plain.data.qvel, dressed.data.qvel)


def test_half_the_brightness_is_darker():
    assert picture(Look(brightness=0.5)).mean() < 0.75 * picture(Look()).mean()


def test_a_peg_fits_its_socket_and_a_larger_one_does_not():
    socket = Fixture(kind="socket", name="socket", size_m=(0.016, 0.04, 0.02))
    heights = []
    for half in (0.013, 0.018):
        peg = Thing(name="peg", size_m=(half, half, 0.04), position_m=(0.0, 0.0, 0.085))
        world = World(Scene(things=(peg,), fixtures=(socket,)))
        world.settle(1.0)
        heights.append(world.pose("peg")[0][2])
    assert heights[0] < 0.045 and heights[1] > 0.07


def test_a_bowl_and_a_bin_keep_a_ball():
    for kind, size in (("bowl", (0.05, 0.02)), ("bin", (0.06, 0.06, 0.03))):
        ball = Thing(name="ball", shape="sphere", size_m=(0.015,), position_m=(0.01, 0.0, 0.06))
        fixture = Fixture(kind=kind, name="keeper", size_m=size)
        world = World(Scene(things=(ball,), fixtures=(fixture,)))
        world.settle(2.0)
        place = world.pose("ball")[0]
        assert world.touching("ball", "keeper") and np.linalg.norm(place[:2]) < 0.05
        assert np.linalg.norm(world.velocity("ball")[3:]) < 0.02
