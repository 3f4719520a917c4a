"""Many worlds drawn together: equal to the byte to each world drawn alone, on any number of threads."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embodia.core.errors import ConfigError, UnknownNameError
from embodia.envs.protocol import CameraView

mujoco = pytest.importorskip("mujoco")
pytest.importorskip("numba")
import raster_oracle as oracle  # noqa: E402

import embodia.envs.desk.raster as package  # noqa: E402
from embodia.envs.desk.raster import Raster, RasterBatch, points_from_depth  # noqa: E402
from embodia.envs.desk.raster.copying import addresses, copy_bytes  # noqa: E402

VIEWS = (
    CameraView(name="front", height=64, width=64),
    CameraView(name="wrist", height=37, width=51),
    CameraView(name="side", height=24, width=40, lookat_m=(0.4, 0, 0.1), distance_m=1.5, azimuth_deg=90),
)
PARTS = ("rgb", "depth", "segmentation")


@pytest.fixture(scope="module")
def worlds():
    """Worlds with different numbers of objects, in different postures."""
    pairs = [oracle.of(oracle.bench(objects=number % 4 + 1, seed=number)) for number in range(9)]
    for number, (model, data) in enumerate(pairs):
        oracle.bent(model, data, number)
    return pairs


def batch_of(worlds, threads=2, **further):
    models, datas = zip(*worlds, strict=True)
    return RasterBatch(models, datas, VIEWS, threads=threads, **further)


def equal(frames, number, alone):
    return all((getattr(frames, part)[number] == getattr(alone, part)).all() for part in PARTS)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_batch_is_equal_to_single_worlds(worlds, threads):
    batch = batch_of(worlds, threads)
    frames = batch.draw()
    batch.close()
    for number, (model, data) in enumerate(worlds):
        for name, alone in Raster(model, VIEWS).draw(data).items():
            assert equal(frames[name], number, alone), (number, name)


def test_worlds_differ_so_that_equality_says_something(worlds):
    batch = batch_of(worlds)
    segmentation = batch.draw()["front"].segmentation
    batch.close()
    assert len({picture.tobytes() for picture in segmentation}) == len(worlds)


def test_a_batch_follows_its_worlds(worlds):
    batch = batch_of(worlds)
    before = batch.draw()
    model, data = worlds[3]
    colours, light = model.geom_rgba.copy(), model.vis.headlight.ambient.copy()
    oracle.bent(model, data, 77)
    model.geom_rgba[:, :3] = 0.3
    model.vis.headlight.ambient[:] = 0.6
    again = batch.draw()
    alone = Raster(model, VIEWS).draw(data)
    model.geom_rgba[:], model.vis.headlight.ambient[:] = colours, light
    oracle.bent(model, data, 3)
    batch.close()
    assert not equal(before["front"], 3, alone["front"])
    assert all(equal(again[name], 3, alone[name]) for name in alone)
    assert (again["front"].rgb[2] == before["front"].rgb[2]).all()


def test_pictures_can_be_drawn_into_given_arrays(worlds):
    batch = batch_of(worlds)
    first = batch.draw()
    kept = first["side"].rgb.copy()
    first["side"].rgb[:] = 7
    second = batch.draw(first)
    batch.close()
    assert second["side"].rgb is first["side"].rgb
    assert (second["side"].rgb == kept).all()


@pytest.mark.parametrize("objects", [3, 6], ids=["as many geoms", "more geoms"])
def test_a_world_can_be_replaced(worlds, objects):
    batch = batch_of(worlds)
    before = batch.draw()
    sky = "<asset><texture type='skybox' builtin='flat' rgb1='.2 .4 .8' width='8' height='8'/></asset><worldbody>"
    model, data = oracle.of(oracle.bench(objects=objects, seed=99).replace("<worldbody>", sky))
    oracle.bent(model, data, 5)
    assert (model.ngeom == worlds[2][0].ngeom) == (objects == 3)
    batch.replace(2, model, data)
    after = batch.draw()
    batch.close()
    for name, alone in Raster(model, VIEWS).draw(data).items():
        assert equal(after[name], 2, alone)
        for number in (1, 3, 8):
            assert (after[name].rgb[number] == before[name].rgb[number]).all()
            assert (after[name].segmentation[number] == before[name].segmentation[number]).all()


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("spoil", [lambda a: a[:-1], lambda a: a.astype(np.float64), lambda a: np.asfortranarray(a)])
def test_pictures_are_not_drawn_into_unlike_arrays(worlds, part, spoil):
    batch = batch_of(worlds)
    frames = batch.draw()
    frames["wrist"] = replace(frames["wrist"], **{part: spoil(getattr(frames["wrist"], part))})
    with pytest.raises(ConfigError, match="cannot draw"):
        batch.draw(frames)
    batch.close()


def test_batches_of_bodies(worlds):
    batch = batch_of(worlds, labels="body")
    frames = batch.draw()
    batch.close()
    batch.close()
    model, data = worlds[0]
    alone = Raster(model, VIEWS, labels="body").draw(data)
    assert equal(frames["front"], 0, alone["front"])


def test_a_batch_refuses_what_it_cannot_draw(worlds):
    model, data = worlds[0]
    with pytest.raises(ConfigError, match="models for"):
        RasterBatch([model, model], [data], VIEWS)
    with pytest.raises(ConfigError, match="models for"):
        RasterBatch([], [], VIEWS)
    with pytest.raises(ConfigError, match="final size"):
        RasterBatch([model], [data], (CameraView(name="front", height=32, width=32, render=(64, 64)),))


def test_points_lie_on_what_is_seen():
    model, data = oracle.of(oracle.shape("sphere", place="0.1 -0.2 0.3"))
    raster = Raster(model, (CameraView(name="eye", height=48, width=64),))
    frame = raster.draw(data)["eye"]
    points, found = points_from_depth(frame.depth, raster.eye(data, "eye"))
    assert points.shape == (48, 64, 3)
    assert (found == (frame.segmentation >= 0)).all()
    away = np.linalg.norm(points[found] - np.array([0.1, -0.2, 0.3]), axis=1)
    assert found.sum() > 100
    assert np.abs(away - 0.3).max() < 1e-4


def test_points_of_every_view_agree_about_a_table(worlds):
    model, data = worlds[0]
    raster = Raster(model, VIEWS)
    table = 1
    for name, frame in raster.draw(data).items():
        points, _ = points_from_depth(frame.depth, raster.eye(data, name))
        heights = points[frame.segmentation == table][:, 2]
        assert len(heights) > 50
        assert -0.0401 < heights.min() <= heights.max() < 1e-4, "it is 4 cm thick below height 0"
        assert np.mean(np.abs(heights) < 1e-4) > 0.1, "its upper side"


def test_points_of_an_unknown_view_are_refused(worlds):
    model, data = worlds[0]
    with pytest.raises(UnknownNameError, match="nowhere"):
        Raster(model, VIEWS).eye(data, "nowhere")


def test_only_like_arrays_are_copied():
    target, source = np.zeros((2, 3)), np.arange(6.0).reshape(2, 3)
    copy_bytes(0, 1, np.array([[addresses(target, source)]], np.int64))
    assert (target == source).all()
    with pytest.raises(ConfigError, match="cannot copy"):
        addresses(target, source.astype(np.float32))
    with pytest.raises(ConfigError, match="cannot copy"):
        addresses(target, np.zeros(5))
    with pytest.raises(ConfigError, match="cannot copy"):
        addresses(target, np.zeros((3, 2)).T)


WITHOUT_OPENGL = """
import sys
from embodia import envs
from embodia.envs import EnvConfig
env = envs.make("desk", EnvConfig(height=32, width=32, options={"senses": "rgb,depth"}))
env.reset(env.tasks[0], 0)
seen = env.observe()
assert seen.images["front"].std() > 5 and (seen.depth["front"] > 0).mean() > 0.5
assert not any(name.startswith("OpenGL") for name in sys.modules)
env.close()
"""


def test_pictures_of_the_fast_profile_need_no_opengl():
    environment = {**os.environ, "PYTHONPATH": str(Path(package.__file__).parents[4]), "MUJOCO_GL": "disable"}
    command = [sys.executable, "-c", WITHOUT_OPENGL]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr


READ_ONLY = """
import numba.core.caching as caching
for locator in caching.CacheImpl._locator_classes:
    locator.from_function = classmethod(lambda cls, function, file: None)
from embodia.envs.desk.raster.kernel import draw
from embodia.envs.desk.raster.jit import compiled
def twice(x):
    return 2 * x
assert compiled(twice)(4) == 8
"""


def test_it_compiles_where_no_folder_can_be_written():
    source = str(Path(package.__file__).parents[4])
    environment = {**os.environ, "PYTHONPATH": source}
    done = subprocess.run(
        [sys.executable, "-c", READ_ONLY], capture_output=True, text=True, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stderr
