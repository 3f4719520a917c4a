"""Handles, turns and slots found in shapes that were built by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

pytest.importorskip("mujoco")

from embodia.generate.experts._libero_boxes import points_of
from embodia.generate.experts._libero_carry import fitting_turn, landing_height, slot_yaw, spot_for
from embodia.generate.experts._libero_fixtures import about_up, handle, nearer_half, outwards
from embodia.generate.experts._libero_hand import downward
from embodia.generate.experts._libero_microwave import handle_of
from embodia.generate.experts._libero_plan import Chore

DRAWER = "wooden_cabinet_1_top_region"


def block(centre, half, yaw=0.0):
    return points_of(np.array(centre, float), about_up(yaw), np.array(half, float))


class Cupboard:
    """A cabinet whose drawer opens along -axis, with a bar in front of it."""

    def __init__(self, yaw):
        self.turn = about_up(yaw)
        self.data = SimpleNamespace(xaxis=[self.turn @ [0.0, 1.0, 0.0]])
        front, bar = block([0, -0.1, 1.0], [0.1, 0.004, 0.03]), block([0, -0.13, 1.01], [0.04, 0.008, 0.008])
        posts = [block([side, -0.115, 1.01], [0.005, 0.011, 0.006]) for side in (-0.03, 0.03)]
        self._points = np.concatenate([front, bar, *posts]) @ self.turn.T

    def joint(self, name):
        assert name == "wooden_cabinet_1_top_level"
        return 0

    def points(self, name, body=""):
        assert body == "wooden_cabinet_1_cabinet_top"
        return self._points


@pytest.mark.parametrize("yaw", [0.0, 0.5, -2.0])
def test_the_bar_in_front_of_a_drawer_is_found_whatever_way_it_faces(yaw):
    cupboard = Cupboard(yaw)
    assert np.allclose(outwards(cupboard, DRAWER), cupboard.turn @ [0, -1, 0])
    assert np.allclose(handle(cupboard, DRAWER), cupboard.turn @ [0, -0.13, 1.01], atol=0.012)


@pytest.mark.parametrize("yaw", [0.0, 1.0, 2.5])
def test_the_handle_of_a_mug_is_the_bar_farthest_out(yaw):
    wall = np.concatenate([block([0.04 * np.cos(a), 0.04 * np.sin(a), 0.05], [0.003, 0.003, 0.05]) for a in range(7)])
    bar = block([0.07, 0, 0.05], [0.004, 0.004, 0.03])
    arms = np.concatenate([block([0.055, 0, z], [0.015, 0.004, 0.004]) for z in (0.02, 0.08)])
    points = np.concatenate([wall, bar, arms]) @ about_up(yaw).T
    mug = SimpleNamespace(points=lambda name: points, place=lambda name: np.zeros(3))
    assert np.allclose(handle_of(mug, "mug_1"), about_up(yaw) @ [0.07, 0, 0.05], atol=0.006)


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_turning_by_the_fitting_turn_makes_long_sides_parallel(first, wanted):
    book = block([0.2, 0.1, 0.9], [0.06, 0.014, 0.07], first)
    turn = fitting_turn(book, wanted)
    assert abs(turn) <= np.pi / 2 + 1e-9
    assert abs(np.sin(first + turn - wanted)) < 0.02


def test_the_long_level_side_of_a_slot_is_found_even_if_it_is_taller():
    axes = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
    assert abs(np.cos(slot_yaw(axes, np.array([0.06, 0.5, 0.02])))) < 1e-9
    assert abs(np.sin(slot_yaw(axes, np.array([0.02, 0.5, 0.06])))) < 1e-9


@given(st.floats(-3.1, 3.1))
def test_about_up_agrees_with_scipy(angle):
    assert np.allclose(about_up(angle), Rotation.from_rotvec([0, 0, angle]).as_matrix())


@given(st.floats(-3.1, 3.1), st.floats(-3.1, 3.1))
def test_nearer_half_keeps_the_direction_and_never_turns_further(yaw, now):
    wanted, start = downward(yaw, np.eye(3)), about_up(now) @ downward(0.0, np.eye(3))
    found = nearer_half(wanted, start)
    assert np.allclose(found[:, 2], wanted[:, 2])
    assert np.trace(found.T @ start) >= np.trace(wanted.T @ start) - 1e-9


class Shelf:
    """A load in a hand over a table with one block on it."""

    def __init__(self, block_top):
        self.hand, self.attitude = np.array([0.0, 0.0, 0.5]), downward(0.0, np.eye(3))
        self._load = block([0.0, 0.0, 0.48], [0.01, 0.01, 0.02])
        self._block = block([0.3, 0.0, block_top / 2], [0.03, 0.03, block_top / 2])

    def points(self, name):
        return self._load

    def others(self, *excluded):
        return self._block

    def place(self, name):
        return np.array([0.3, 0.0, 0.1]) if name == "basket_1_region" else np.array([0.0, 0.0, 0.48])

    def axes(self, name):
        return np.eye(3)

    def extent(self, name):
        return np.array([0.06, 0.05, 0.01])

    def floor(self):
        return 0.0


@pytest.mark.parametrize("top", [0.1, 0.2])
def test_a_load_is_let_down_until_it_stands_on_what_is_below(top):
    hand = SimpleNamespace(world=Shelf(top))
    assert landing_height(hand, "can_1", np.array([0.3, 0.0, 0.0])) == pytest.approx(top + 0.04)
    assert landing_height(hand, "can_1", np.array([0.0, 0.3, 0.0])) == pytest.approx(0.04)


def test_two_things_in_one_region_stand_apart_and_one_stands_in_the_middle():
    hand = SimpleNamespace(world=Shelf(0.1))
    alone, first, second = (
        spot_for(hand, Chore(kind="carry", name="can_1", goal="basket_1_region", part=part, parts=parts))
        for part, parts in ((0, 1), (0, 2), (1, 2))
    )
    assert np.allclose(alone, [0.3, 0.0, 0.1])
    assert second[0] - first[0] == pytest.approx(0.0678)
    assert np.allclose((first + second) / 2, alone)
