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
