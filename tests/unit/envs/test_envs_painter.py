import subprocess
import sys

import numpy as np
import pytest

from embodia.envs.drawing import Painter, choose_opengl
from embodia.envs.profiles import profile
from embodia.envs.protocol import CameraView

choose_opengl()
mujoco = pytest.importorskip("mujoco")
pytestmark = pytest.mark.sim

SCENE = """
<mujoco><worldbody>
  <light pos="0 0 3"/>
  <camera name="top" pos="0 0 2"/>
  <geom type="box" size="2 2 0.1" pos="0 0 -0.1" rgba="0 0 1 1" group="1"/>
  <geom type="sphere" size="0.4" rgba="1 0 0 1" group="0"/>
</worldbody></mujoco>
"""
VIEW = CameraView(name="top", height=32, width=32)


def centre(hidden):
    model = mujoco.MjModel.from_xml_string(SCENE)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    painter = Painter(model, (VIEW,), profile("fast"), hidden=hidden)
    image = painter.draw(data)["top"]
    painter.close()
    painter.close()
    return int(np.argmax(image[16, 16]))


def test_hidden_groups_are_not_drawn():
    assert centre(()) == 0, "red: the sphere"
    assert centre((0,)) == 2, "blue: the floor below it"


def test_a_painter_left_open_ends_without_a_word():
    script = (
        f"import weakref\nweakref.finalize(weakref, print, end='')\n"
        f"import mujoco\nfrom {Painter.__module__} import Painter\n"
        f"from embodia.envs.profiles import profile\nfrom embodia.envs.protocol import CameraView\n"
        f"model = mujoco.MjModel.from_xml_string({SCENE!r})\ndata = mujoco.MjData(model)\n"
        f"painter = Painter(model, (CameraView(name='top', height=16, width=16),), profile('fast'))\n"
        f"painter.draw(data)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
