"""Our renderer against MuJoCo's: every shape, whole scenes, every kind of camera."""

import numpy as np
import pytest

from embodia.core.errors import ConfigError, UnknownNameError
from embodia.envs.drawing import Painter
from embodia.envs.profiles import profile
from embodia.envs.protocol import CameraView

mujoco = pytest.importorskip("mujoco")
pytest.importorskip("numba")
import raster_oracle as oracle  # noqa: E402

from embodia.envs.desk.raster import Raster  # noqa: E402

pytestmark = pytest.mark.sim
EYE = CameraView(name="eye", height=128, width=128)


@pytest.mark.parametrize("name", oracle.SHAPES)
@pytest.mark.parametrize("turn", ["0 0 0", "20 35 50", "90 0 0", "-70 80 10"])
def test_every_shape_looks_as_in_mujoco(name, turn):
    model, data = oracle.of(oracle.shape(name, turn))
    frame = Raster(model, (EYE,)).draw(data)["eye"]
    share, depth, colour = oracle.compare(model, data, frame, "eye")
    assert share >= 0.99
    assert depth <= 0.004
    assert colour <= 3.0


@pytest.mark.parametrize("name", ["sphere", "capsule", "ellipsoid", "cylinder", "box"])
@pytest.mark.parametrize("place", ["0.55 0.1 0", "-0.6 -0.55 0.2", "0 0.2 0.9", "0.35 0 1.35"])
def test_shapes_at_the_edge_and_close_to_the_camera(name, place):
    model, data = oracle.of(oracle.shape(name, "-70 80 10", place))
    frame = Raster(model, (EYE,)).draw(data)["eye"]
    judge = oracle.Judge(model, 128, 128)
    _, depth, segmentation = judge.draw(data, "eye")
    judge.close()
    assert np.mean(segmentation == frame.segmentation) >= 0.985
    inside = (segmentation >= 0) & oracle.inner(segmentation) & oracle.inner(frame.segmentation)
    assert np.all(np.abs(depth - frame.depth)[inside] <= 0.005 * np.maximum(depth[inside], 1))


@pytest.mark.parametrize("camera", ["front", "wrist"])
@pytest.mark.parametrize("seed", range(4))
def test_whole_scenes_look_as_in_mujoco(camera, seed):
    model, data = oracle.of(oracle.bench(seed=seed))
    oracle.bent(model, data, seed)
    view = CameraView(name=camera, height=128, width=128)
    frame = Raster(model, (view,)).draw(data)[camera]
    share, depth, colour = oracle.compare(model, data, frame, camera)
    assert share >= 0.985
    assert depth <= 0.004
    assert colour <= 4.0


@pytest.mark.parametrize("angles", [(0.0, -30.0), (135.0, -60.0), (-80.0, 10.0)])
def test_free_cameras_stand_where_mujoco_puts_them(angles):
    model, data = oracle.of(oracle.bench())
    view = CameraView(
        name="free", height=96, width=128, lookat_m=(0.4, 0.0, 0.2), distance_m=1.4, azimuth_deg=angles[0],
        elevation_deg=angles[1],
    )  # fmt: skip
    frame = Raster(model, (view,)).draw(data)["free"]
    camera = oracle.free((0.4, 0.0, 0.2), 1.4, *angles)
    share, depth, _ = oracle.compare(model, data, frame, camera, (96, 128))
    assert share >= 0.985
    assert depth <= 0.004


def test_upright_and_sized_as_the_painter():
    model, data = oracle.of(oracle.bench())
    views = (
        CameraView(name="front", height=64, width=48, render=(128, 96)),
        CameraView(name="cut", source="front", height=40, width=56, render=(64, 64), crop=(20, 4)),
    )
    painter = Painter(model, views, profile("fast"))
    painted = painter.draw(data)
    painter.close()
    frames = Raster(model, views).draw(data)
    for view in views:
        frame, picture = frames[view.name], painted[view.name].astype(float)
        assert frame.rgb.shape == picture.shape
        assert frame.depth.shape == frame.segmentation.shape == picture.shape[:2]
        straight = np.corrcoef(frame.rgb.ravel(), picture.ravel())[0, 1]
        turned = np.corrcoef(frame.rgb[::-1].ravel(), picture.ravel())[0, 1]
        assert straight > 0.97 > turned


def test_lenses_given_by_a_sensor():
    lens = "sensorsize='0.004 0.003' focal='0.003 0.0025' principal='0.0004 -0.0003' resolution='64 48'"
    xml = oracle.shape("box").replace("fovy='45'", lens)
    model, data = oracle.of(xml)
    frame = Raster(model, (CameraView(name="eye", height=96, width=128),)).draw(data)["eye"]
    share, depth, _ = oracle.compare(model, data, frame, "eye", (96, 128))
    assert share >= 0.985
    assert depth <= 0.004


def test_values_changed_in_place_are_seen():
    model, data = oracle.of(oracle.shape("sphere"))
    raster = Raster(model, (EYE,))
    before = raster.draw(data)["eye"]
    model.geom_rgba[0] = (1, 0, 0, 1)
    model.geom_size[0, 0] = 0.1
    model.cam_fovy[0] = 60
    after = raster.draw(data)["eye"]
    share, depth, colour = oracle.compare(model, data, after, "eye")
    assert share >= 0.99
    assert depth <= 0.004
    assert colour <= 3
    assert (after.segmentation == 0).sum() < (before.segmentation == 0).sum() / 4


@pytest.mark.parametrize("change", ["rgba='1 1 1 0'", *(f"rgba='1 1 1 1' group='{group}'" for group in (3, 5, 9))])
def test_what_mujoco_does_not_show_is_not_drawn(change):
    model, data = oracle.of(oracle.shape("box").replace("rgba='0.2 0.6 0.9 1'", change))
    frame = Raster(model, (EYE,)).draw(data)["eye"]
    judge = oracle.Judge(model, 128, 128)
    assert (judge.draw(data, "eye")[2] == -1).all(), "MuJoCo does not draw it either"
    judge.close()
    assert (frame.segmentation == -1).all()
    assert (frame.depth == 0).all()
    assert (frame.rgb == 0).all()


def test_materials_give_the_colour_unless_a_geom_has_its_own():
    text = oracle.shape("box").replace(
        "<worldbody>", "<asset><material name='m' rgba='0.9 0.1 0.1 1'/></asset><worldbody>"
    )
    plain = text.replace("rgba='0.2 0.6 0.9 1'", "material='m'")
    own = text.replace("rgba='0.2 0.6 0.9 1'", "material='m' rgba='0.1 0.1 0.9 1'")
    for xml, channel in ((plain, 0), (own, 2)):
        model, data = oracle.of(xml)
        frame = Raster(model, (EYE,)).draw(data)["eye"]
        assert int(frame.rgb[64, 64].argmax()) == channel


def test_lamps_with_a_place_and_lamps_switched_off():
    lamp = "<light directional='false' pos='0.5 0.5 2' cutoff='90' exponent='0' specular='0 0 0' castshadow='false'/>"
    model, data = oracle.of(oracle.shape("sphere").replace(oracle.LIGHT, lamp))
    frame = Raster(model, (EYE,)).draw(data)["eye"]
    assert oracle.compare(model, data, frame, "eye")[2] <= 3
    model.light_active[0] = 0
    dark = Raster(model, (EYE,)).draw(data)["eye"]
    assert oracle.compare(model, data, dark, "eye")[2] <= 3
    assert dark.rgb[64, 64].sum() < frame.rgb[64, 64].sum()


def test_the_sky_is_the_backdrop():
    sky = "<asset><texture type='skybox' builtin='flat' rgb1='0.2 0.4 0.8' width='16' height='16'/></asset><worldbody>"
    model, data = oracle.of(oracle.shape("sphere").replace("<worldbody>", sky))
    frame = Raster(model, (EYE,)).draw(data)["eye"]
    assert np.abs(frame.rgb[0, 0].astype(int) - (51, 102, 204)).max() <= 2
    assert oracle.compare(model, data, frame, "eye")[0] >= 0.99


def test_segmentation_by_body():
    model, data = oracle.of(oracle.bench())
    view = (CameraView(name="front", height=64, width=64),)
    by_geom = Raster(model, view).draw(data)["front"].segmentation
    by_body = Raster(model, view, labels="body").draw(data)["front"].segmentation
    shown = by_geom >= 0
    assert (by_body[shown] == model.geom_bodyid[by_geom[shown]]).all()
    assert (by_body[~shown] == -1).all()


def test_a_mesh_is_refused_unless_it_is_hidden():
    mesh = "<asset><mesh name='m' vertex='0 0 0 1 0 0 0 1 0 0 0 1'/></asset><worldbody>"
    xml = oracle.shape("box").replace("<worldbody>", mesh)
    shown = xml.replace("</worldbody>", "<geom name='odd' type='mesh' mesh='m'/></worldbody>")
    model, data = oracle.of(shown)
    with pytest.raises(ConfigError, match="odd"):
        Raster(model, (EYE,)).draw(data)
    model, data = oracle.of(shown.replace("name='odd'", "name='odd' group='3'"))
    assert (Raster(model, (EYE,)).draw(data)["eye"].segmentation == 0).any()


def test_unknown_and_parallel_cameras_are_refused():
    model, data = oracle.of(oracle.shape("box"))
    with pytest.raises(UnknownNameError, match="eye"):
        Raster(model, (CameraView(name="eyes"),)).draw(data)
    model, data = oracle.of(oracle.shape("box").replace("fovy='45'", "orthographic='true' fovy='2'"))
    with pytest.raises(ConfigError, match="parallel"):
        Raster(model, (EYE,)).draw(data)


def test_pictures_do_not_share_memory():
    model, data = oracle.of(oracle.shape("box"))
    raster = Raster(model, (EYE,))
    first = raster.draw(data)["eye"]
    kept = first.rgb.copy()
    model.geom_rgba[0] = (1, 0, 0, 1)
    raster.draw(data)
    assert (first.rgb == kept).all()
