"""What an expert sees of a scene, on a small MuJoCo model with names as the benchmark gives them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("mujoco")

import mujoco

from embodia.core.errors import EnvironmentFailure
from embodia.generate.experts._libero_world import World

SCENE = """
<mujoco>
  <worldbody>
    <body name="robot0_hand" pos="0 0 0.53">
      <site name="grip" euler="180 0 0" pos="0 0 -0.03"/>
      <body name="gripper0_leftfinger"><joint name="left" type="slide" axis="0 1 0"/>
        <geom type="box" size=".01 .01 .03" pos="0 .05 -.03"/>
        <body name="gripper0_finger_joint1_tip"><geom type="box" size=".008 .004 .008" pos="0 .034 -.03"/></body>
      </body>
      <body name="gripper0_rightfinger"><joint name="right" type="slide" axis="0 1 0"/>
        <geom type="box" size=".01 .01 .03" pos="0 -.05 -.03"/>
        <body name="gripper0_finger_joint2_tip"><geom type="box" size=".008 .004 .008" pos="0 -.034 -.03"/></body>
      </body>
    </body>
    <body name="can_1_main" pos="0 0 0.5"><freejoint/><geom type="cylinder" size=".0305 .04" pos="0 0 .01"/>
      <geom type="box" size=".5 .5 .5" contype="0" conaffinity="0"/></body>
    <body name="cabinet_1_main" pos="1 0 0.2">
      <geom type="box" size=".1 .2 .2"/>
      <site name="cabinet_1_top_region" type="box" size=".05 .06 .07" pos="0 .1 0" euler="0 0 90"/>
      <body name="cabinet_1_cabinet_top"><joint name="cabinet_1_top_level" type="slide" axis="0 1 0"/>
        <geom name="bar" type="box" size=".04 .008 .008" pos="0 -.25 .1"/></body>
    </body>
  </worldbody>
</mujoco>
"""


@pytest.fixture
def world():
    model = mujoco.MjModel.from_xml_string(SCENE)
    data = mujoco.MjData(model)
    data.joint("cabinet_1_top_level").qpos[0] = -0.05
    mujoco.mj_forward(model, data)
    simulation = SimpleNamespace(
        model=model,
        data=data,
        path="scene.bddl",
        bodies={name: model.body(f"{name}_main").id for name in ("can_1", "cabinet_1")},
        hand_site=model.site("grip").id,
        finger_joints=[model.joint(name).qposadr[0] for name in ("left", "right")],
        holds=lambda goal: goal == (("open", "x"),),
    )
    return World(simulation)


def pinch(world, gap):
    """Move both fingertips towards the middle until they are `gap` apart."""
    world.data.joint("left").qpos[0], world.data.joint("right").qpos[0] = gap / 2 - 0.03, 0.03 - gap / 2
    mujoco.mj_forward(world.model, world.data)


def test_the_hand_is_where_its_site_is_and_points_down(world):
    assert np.allclose(world.hand, [0, 0, 0.5])
    assert np.allclose(world.attitude[:, 2], [0, 0, -1])


def test_the_gap_adds_both_fingers(world):
    world.data.joint("left").qpos[0], world.data.joint("right").qpos[0] = 0.01, -0.02
    assert world.gap == pytest.approx(0.03)


def test_a_thing_is_held_when_both_fingers_touch_it(world):
    pinch(world, 0.08)
    assert not world.held("can_1")
    pinch(world, 0.06)
    assert world.held("can_1") and not world.held("cabinet_1")
    world.data.joint("right").qpos[0] = -0.02
    mujoco.mj_forward(world.model, world.data)
    assert not world.held("can_1"), "one finger alone holds nothing"


def test_points_cover_what_collides_and_nothing_else(world):
    points = world.points("can_1")
    assert np.allclose(points.max(0), [0.0305, 0.0305, 0.55])
    assert np.allclose(points.min(0), [-0.0305, -0.0305, 0.47])
    drawer = world.points("cabinet_1", "cabinet_1_cabinet_top")
    assert np.allclose((drawer.min(0) + drawer.max(0)) / 2, [1.0, -0.3, 0.3])


def test_others_leave_out_what_is_named(world):
    assert len(world.others("can_1")) == len(world.points("cabinet_1"))
    assert len(world.others()) == len(world.points("cabinet_1")) + len(world.points("can_1"))
    assert len(world.others("can_1", "cabinet_1")) == 0


def test_places_axes_and_extents_of_things_and_regions(world):
    assert np.allclose(world.place("can_1"), [0, 0, 0.5])
    assert np.allclose(world.place("cabinet_1_top_region"), [1, 0.1, 0.2])
    assert np.allclose(world.axes("cabinet_1_top_region")[:, 0], [0, 1, 0], atol=1e-9)
    assert np.allclose(world.axes("can_1"), np.eye(3))
    assert np.allclose(world.extent("cabinet_1_top_region"), [0.05, 0.06, 0.07])


def test_a_region_belongs_to_the_thing_it_is_named_after(world):
    assert world.owner("cabinet_1_top_region") == "cabinet_1"
    assert world.owner("main_table_plate_region") == ""


def test_joints_are_read_by_name(world):
    assert world.angle(world.joint("cabinet_1_top_level")) == pytest.approx(-0.05)


def test_the_floor_is_under_the_lowest_thing(world):
    assert world.floor() == pytest.approx(0.0)


def test_predicates_are_the_simulations(world):
    assert world.holds(("open", "x")) and not world.holds(("open", "y"))


@pytest.mark.parametrize("ask", [lambda w: w.joint("no"), lambda w: w.place("no")])
def test_names_that_the_scene_lacks_are_answered(world, ask):
    with pytest.raises(EnvironmentFailure, match="no"):
        ask(world)
