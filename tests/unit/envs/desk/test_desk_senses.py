"""Senses against simple physics and against each other."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo is not installed")

from embodia import envs
from embodia.core.errors import UnknownNameError
from embodia.envs import EnvConfig
from embodia.envs.desk import feel
from embodia.envs.desk.scenes import Scene, Thing
from embodia.envs.desk.senses import POINTS, _kept, segments
from embodia.envs.desk.world import World
from embodia.envs.protocol import CameraView
from embodia.generate.experts._desk_motion import go, stay

GRAVITY = 9.81


@pytest.fixture(scope="module")
def holding():
    world = World(Scene(things=(Thing(name="block", mass_kg=0.2, size_m=(0.02, 0.02, 0.02)),)))
    world.settle()
    for action in go(world, (0.0, 0.0, 0.022)):
        world.apply(action)
    for action in stay(world, 10, closed=1.0):
        world.apply(action)
    for action in go(world, (0.0, 0.0, 0.15), closed=1.0):
        world.apply(action)
    for action in stay(world, 40, closed=1.0):
        world.apply(action)
    return world


def test_the_wrist_carries_the_weight_of_what_is_held(holding):
    assert holding.holding("block") and not holding.touching("block", "table")
    force = feel.wrench(holding)[:3]
    assert force[2] == pytest.approx(0.2 * GRAVITY, rel=0.03)  # the tool's z points down
    assert np.abs(force[:2]).max() < 0.1


def test_the_pads_feel_the_grip(holding):
    cells = feel.touch(holding)
    assert cells.shape == (2, 4, 4)
    assert cells.sum(axis=(1, 2)) == pytest.approx(holding.grip_force(), rel=0.05)
    assert (cells > 0).sum() >= 4


def test_an_empty_hand_feels_nothing():
    world = World(Scene())
    world.settle()
    assert not feel.wrench(world).any() and not feel.touch(world).any()


@pytest.fixture(scope="module")
def env():
    options = {"senses": "rgb,depth,segmentation,points,wrench,touch"}
    env = envs.make("desk", EnvConfig(cameras=("front", "wrist"), height=48, width=48, options=options))
    yield env
    env.close()


def test_all_senses_have_their_shapes(env):
    env.reset("reach/red-cube", 0)
    seen = env.observe()
    assert seen.images["front"].shape == (1, 1, 48, 48, 3) and seen.images["front"].dtype == np.uint8
    assert seen.depth["wrist"].shape == seen.segmentation["wrist"].shape == (1, 1, 48, 48)
    assert seen.points.shape == (1, 1, 1024, 6) and seen.wrench.shape == (1, 1, 6)
    assert seen.touch.shape == (1, 1, 2, 4, 4)


def test_segments_are_where_things_are_and_look_as_they_do(env):
    env.reset("reach/red-cube", 1)
    seen = env.observe()
    number = segments(env.world).index("red-cube")
    mask = seen.segmentation["front"][0, 0] == number
    assert mask.sum() > 4
    red, green, blue = seen.images["front"][0, 0][mask].mean(axis=0)
    assert red > 1.5 * max(green, blue)
    assert (seen.segmentation["front"] == 1).any(), "the robot is in the picture"


def test_points_lie_on_the_things(env):
    env.reset("reach/red-cube", 1)
    points = env.observe().points[0, 0]
    reddish = points[(points[:, 3] > 2 * points[:, 4]) & (points[:, 3] > 2 * points[:, 5])]
    data, mount = env.world.data, env.world.arms[0].base
    thing = data.xmat[mount].reshape(3, 3).T @ (env.world.pose("red-cube")[0] - data.xpos[mount])
    red = [name for name in env.world.names if name.startswith("red")]
    assert len(reddish) and red
    nearest = min(np.linalg.norm(reddish[:, :3] - thing, axis=1))
    assert nearest < 0.04


def test_points_and_tool_share_the_frame_of_the_mount(env):
    env.reset("reach/red-cube", 1)
    seen = env.observe()
    tool = seen.state[0, 0, 7:10]
    assert np.linalg.norm(seen.points[0, 0, :, :3] - tool, axis=1).min() < 0.06, "the hand is in the picture"


def test_the_contract_names_what_was_asked_for(env):
    senses = {sense.key: sense for sense in env.contract.observation.senses}
    assert list(senses) == ["depth.front", "depth.wrist", "points", "touch", "wrench"]
    env.reset("reach/red-cube", 0)
    seen = env.observe()
    for sense in senses.values():
        assert seen.sense(sense).shape[2:] == sense.shape and seen.sense(sense).dtype == np.float32, sense.key
    assert senses["depth.wrist"].field_deg == 75.0
    assert envs.make("desk", EnvConfig()).contract.observation.senses == ()


def test_the_field_of_view_of_depth_is_the_cameras(env):
    model = env.world.model
    for sense in env.contract.observation.senses:
        if sense.name == "depth":
            source = sense.camera if sense.camera == "front" else "wrist"
            assert sense.field_deg == pytest.approx(float(model.camera(source).fovy[0]))


def test_a_free_camera_sees_as_wide_as_the_simulator_says(env):
    view = CameraView(name="across", height=16, width=16, lookat_m=(0.3, 0.0, 0.1), distance_m=1.0)
    free = envs.make("desk", EnvConfig(cameras=(view,), options={"senses": "rgb,depth"}))
    assert free.contract.observation.senses[0].field_deg == env.world.model.vis.global_.fovy
    cut = replace(view, render=(32, 32), crop=(0, 0))
    assert (
        envs.make("desk", EnvConfig(cameras=(cut,), options={"senses": "depth"}))
        .contract.observation.senses[0]
        .field_deg
        == 0
    )
    free.close()


def test_a_sense_that_does_not_exist_is_refused():
    with pytest.raises(UnknownNameError):
        envs.make("desk", EnvConfig(options={"senses": "smell"}))


def test_faithful_and_fast_pictures_show_the_same(env):
    pictures = []
    for profile in ("fast", "faithful"):
        other = envs.make("desk", EnvConfig(height=64, width=64, profile=profile))
        other.reset("reach/red-cube", 3)
        pictures.append(other.observe().images["front"][0, 0].astype(float))
        other.close()
    assert np.abs(pictures[0] - pictures[1]).mean() < 20


@pytest.mark.parametrize(
    ("ground", "raised", "expected"), [(9000, 3000, 256), (9000, 500, 524), (100, 3000, 100), (50, 0, 1024), (0, 9, 0)]
)
def test_a_cloud_takes_little_of_the_bare_ground(ground, raised, expected):
    bare = np.concatenate([np.ones(ground, bool), np.zeros(raised, bool)])
    taken = _kept(bare)
    assert len(taken) == POINTS and bare[taken].sum() == expected
    assert np.ptp(taken[bare[taken]]) == ground - 1 if expected > 1 else True
