import numpy as np
import pytest

from embodia.core.errors import UnknownNameError
from embodia.envs import drawing
from embodia.envs.drawing import fit
from embodia.envs.profiles import PROFILES, profile
from embodia.envs.protocol import CameraView


def picture(rows, columns, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


def test_crop_is_the_window_named():
    view = CameraView(name="c", height=8, width=10, render=(20, 30), crop=(3, 5))
    drawn = picture(20, 30)
    assert np.array_equal(fit(drawn, view), drawn[3:11, 5:15])


def test_averaging_is_the_mean_of_whole_blocks():
    view = CameraView(name="c", height=10, width=10, render=(20, 30))
    drawn = picture(20, 30)
    expected = np.zeros((10, 10, 3))
    for row in range(10):
        for column in range(10):
            expected[row, column] = drawn[2 * row : 2 * row + 2, 3 * column : 3 * column + 3].reshape(-1, 3).mean(0)
    assert np.abs(fit(drawn, view).astype(float) - expected).max() <= 0.5


def test_unchanged_when_sizes_agree():
    view = CameraView(name="c", height=20, width=30)
    drawn = picture(20, 30)
    assert np.array_equal(fit(drawn, view), drawn)


def test_profiles_by_name():
    assert set(PROFILES) == {"faithful", "fast", "coarse"} and profile("faithful").multisamples is None
    assert profile("fast").multisamples == 0 and not profile("fast").shadows
    with pytest.raises(UnknownNameError, match="fast"):
        profile("fats")


def test_opengl_is_chosen_only_where_nothing_was_said(monkeypatch):
    monkeypatch.setattr(drawing.sys, "platform", "linux")
    monkeypatch.setenv("MUJOCO_GL", "glfw")
    drawing.choose_opengl()
    assert drawing.os.environ["MUJOCO_GL"] == "glfw"
    monkeypatch.delenv("MUJOCO_GL")
    monkeypatch.setattr(drawing.ctypes.util, "find_library", lambda name: name if name == "OSMesa" else None)
    drawing.choose_opengl()
    assert drawing.os.environ["MUJOCO_GL"] == "osmesa"


def test_missing_opengl_names_the_packages_in_one_line():
    text = str(drawing.missing_opengl("no EGL"))
    assert "libegl1 libegl-mesa0 libgl1-mesa-dri libosmesa6" in text and "\n" not in text
