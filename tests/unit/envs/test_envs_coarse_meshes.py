import numpy as np
import pytest

from embodia.envs.coarse_meshes import clustered, coarse
from embodia.envs.drawing import Painter, choose_opengl
from embodia.envs.profiles import profile
from embodia.envs.protocol import CameraView

CELL = 0.1


def sphere(rings=40):
    """Corners (N 3) and triangles (F 3) of a ball of radius 0.5, outwards."""
    up, around = np.meshgrid(np.linspace(0, np.pi, rings), np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False))
    corners = 0.5 * np.stack([np.sin(up) * np.cos(around), np.sin(up) * np.sin(around), np.cos(up)], -1)
    number = np.arange(2 * rings * rings).reshape(2 * rings, rings)
    a, b = number[:, :-1], np.roll(number, -1, axis=0)[:, :-1]
    c, d = number[:, 1:], np.roll(number, -1, axis=0)[:, 1:]
    triangles = np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)])
    return corners.reshape(-1, 3).astype(np.float32), triangles.astype(np.int64)


def test_corners_of_a_cube_become_their_mean():
    corners, triangles = sphere()
    moved, _ = clustered(corners, triangles, CELL)
    places = {}
    for corner, place in zip(corners, np.floor((corners - corners.min(0)) / CELL).astype(int), strict=True):
        places.setdefault(tuple(place), []).append(corner.astype(np.float64))
    for corner, place in zip(moved, np.floor((corners - corners.min(0)) / CELL).astype(int), strict=True):
        np.testing.assert_allclose(corner, np.mean(places[tuple(place)], axis=0), atol=1e-6)


def test_kept_triangles_have_an_area_and_occur_once():
    corners, triangles = sphere()
    moved, kept = clustered(corners, triangles, CELL)
    assert 0 < len(kept) < len(triangles) / 4
    seen = set()
    for triangle in moved[triangles[kept]]:
        spans = {tuple(corner) for corner in triangle}
        assert len(spans) == 3
        seen.add(tuple(sorted(spans)))
    assert len(seen) == len(kept)
    lost = set(range(len(triangles))) - set(kept.tolist())
    for number in lost:
        spans = {tuple(corner) for corner in moved[triangles[number]]}
        assert len(spans) < 3 or tuple(sorted(spans)) in seen


def test_small_cubes_change_nothing():
    corners, triangles = sphere(8)
    corners += np.random.default_rng(0).normal(0, 1e-3, corners.shape).astype(np.float32)
    moved, kept = clustered(corners, triangles, 1e-6)
    np.testing.assert_array_equal(kept, np.arange(len(triangles)))
    np.testing.assert_allclose(moved, corners, atol=1e-7)


@pytest.mark.sim
def test_the_picture_stays_and_the_model_is_put_back():
    choose_opengl()
    mujoco = pytest.importorskip("mujoco")
    corners, triangles = sphere()
    spell = lambda values: " ".join(str(value) for value in values.ravel())  # noqa: E731
    model = mujoco.MjModel.from_xml_string(
        f"""<mujoco><asset><mesh name="ball" vertex="{spell(corners)}" face="{spell(triangles)}"/></asset>
        <worldbody><light pos="0 0 3"/><camera name="top" pos="0 0 2"/>
        <geom type="mesh" mesh="ball" rgba="1 0 0 1"/></worldbody></mujoco>"""
    )
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    before = {name: getattr(model, name).copy() for name in ("mesh_vert", "mesh_face", "mesh_facenum")}
    with coarse(model, CELL):
        assert 0 < model.mesh_facenum[0] < before["mesh_facenum"][0] / 4
    views = (CameraView(name="top", height=48, width=48),)
    pictures = []
    for name in ("fast", "coarse"):
        painter = Painter(model, views, profile(name))
        pictures.append(painter.draw(data)["top"].astype(int))
        painter.close()
    for name, values in before.items():
        np.testing.assert_array_equal(getattr(model, name), values)
    filled = [picture[..., 0] > 60 for picture in pictures]
    assert filled[0].sum() > 100 and (filled[0] != filled[1]).mean() < 0.02
