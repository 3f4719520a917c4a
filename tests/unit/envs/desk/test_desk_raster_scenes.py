"""Our renderer on Desk's own scenes, against MuJoCo's, for all bodies and cameras."""

import numpy as np
import pytest

pytest.importorskip("mujoco")
pytest.importorskip("numba")
import raster_oracle as oracle

from embodia.envs.desk import tasks
from embodia.envs.desk.raster import Raster
from embodia.envs.desk.scenes import Scene
from embodia.envs.desk.world import World
from embodia.envs.protocol import CameraView

pytestmark = pytest.mark.sim
FAMILIES = sorted({name.split("/")[0] for name in tasks.names(body="arm7")})


def agree(world, height=96, width=96):
    """Compare every camera of a world."""
    world.refresh()
    names = [world.model.camera(index).name for index in range(world.model.ncam)]
    views = tuple(CameraView(name=name, height=height, width=width) for name in names)
    frames, judge = Raster(world.model, views).draw(world.data), oracle.Judge(world.model, height, width)
    for name in names:
        rgb, depth, segmentation = judge.draw(world.data, name)
        frame = frames[name]
        assert np.mean(segmentation == frame.segmentation) >= 0.97, name
        inside = oracle.inner(segmentation) & oracle.inner(frame.segmentation) & (segmentation >= 0)
        inside &= segmentation == frame.segmentation
        assert np.abs(depth - frame.depth)[inside].max() <= 0.004, name
        assert np.abs(rgb.astype(int) - frame.rgb)[inside].mean() <= 8, name
    judge.close()


@pytest.mark.parametrize("family", FAMILIES)
def test_scenes_of_every_family(family):
    name = next(name for name in tasks.names(body="arm7") if name.startswith(f"{family}/"))
    world = World(tasks.get(name).scene(np.random.default_rng(5)))
    world.settle(0.2)
    agree(world)


@pytest.mark.parametrize("body", ["arm6", "bimanual", "mobile", "hand"])
def test_scenes_of_every_body(body):
    agree(World(Scene(body=body)), 64, 91)


def test_a_moving_wrist_camera():
    world = World(tasks.get(tasks.names(body="arm7")[0]).scene(np.random.default_rng(1)))
    rng = np.random.default_rng(2)
    for _ in range(3):
        for _ in range(4):
            world.apply(rng.uniform(-1, 1, world.action_spec.dim))
        agree(world, 64, 64)


def ray_depth(model, data, pixel, size):
    """Depth of one pixel by the simulator's own ray casting; 0 where its ray hits nothing, -1 inside the shape."""
    (row, column), (height, width) = pixel, size
    reach = np.tan(np.deg2rad(model.cam_fovy[0]) / 2)
    across = (2 * (column + 0.5) / width - 1) * reach * width / height
    ray = data.cam_xmat[0].reshape(3, 3) @ (across, (1 - 2 * (row + 0.5) / height) * reach, -1.0)
    ray, length = ray / np.linalg.norm(ray), np.linalg.norm(ray)
    shape = (data.geom_xpos[0], data.geom_xmat[0], model.geom_size[0], data.cam_xpos[0])
    ahead, behind = (oracle.mujoco.mju_rayGeom(*shape, way, int(model.geom_type[0])) for way in (ray, -ray))
    return -1 if ahead >= 0 <= behind else max(ahead, 0) / length


@pytest.mark.parametrize("name", ["sphere", "capsule", "ellipsoid", "cylinder", "box"])
def test_any_size_place_turn_and_lens(name):
    rng, size = np.random.default_rng(0), (64, 96)
    model, data = oracle.of(oracle.shape(name))
    raster, hits, wrong = Raster(model, (CameraView(name="eye", height=64, width=96),)), 0, 0
    for _ in range(200):
        model.geom_size[0] = np.exp(rng.uniform(np.log(0.02), np.log(0.8), 3))
        turn = rng.normal(size=4)
        model.geom_quat[0] = turn / np.linalg.norm(turn)
        model.geom_pos[0] = rng.uniform((-0.7, -0.7, -1), (0.7, 0.7, 1.9))
        model.cam_fovy[0] = rng.uniform(20, 100)
        oracle.mujoco.mj_forward(model, data)
        frame = raster.draw(data)["eye"]
        for pixel in rng.integers(0, size, (40, 2)):
            expected = ray_depth(model, data, pixel, size)
            if expected < 0 or 0 < expected < 0.05:
                continue
            found = frame.depth[tuple(pixel)]
            hits += expected > 0
            wrong += abs(found - expected) > 1e-3 * max(expected, 0.1)
    assert hits > 250
    assert wrong <= 0.003 * hits, "single pixels on a silhouette"
