"""Boxes as points, and height maps, against hand-made scenes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embodia.generate.experts._libero_boxes import BELOW, CELL_M, heights, points_of, turned


def block(centre, half):
    return points_of(np.array(centre, float), np.eye(3), np.array(half, float))


def test_points_fill_the_box_to_its_corners_with_no_gap_wider_than_a_cell():
    points = block([1.0, 2.0, 3.0], [0.05, 0.002, 0.03])
    assert np.allclose(points.min(0), [0.95, 1.998, 2.97])
    assert np.allclose(points.max(0), [1.05, 2.002, 3.03])
    along = np.unique(points[:, 0].round(9))
    assert np.diff(along).max() <= CELL_M + 1e-9


def test_points_of_a_turned_box_keep_their_distance_from_its_centre():
    angle = np.pi / 6
    axes = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]])
    points = points_of(np.zeros(3), axes, np.array([0.1, 0.01, 0.01]))
    far = points[np.argmax(points[:, 0])]
    assert np.linalg.norm(points, axis=1).max() == pytest.approx(np.linalg.norm([0.1, 0.01, 0.01]))
    assert np.arctan2(far[1], far[0]) == pytest.approx(angle, abs=0.11)


@given(st.floats(-3.1, 3.1), st.floats(-0.2, 0.2), st.floats(-0.2, 0.2))
def test_turning_there_and_back_changes_nothing(yaw, x, y):
    point = np.array([[x, y, 0.3]])
    assert np.allclose(turned(turned(point, yaw), -yaw), point, atol=1e-12)


def test_a_point_ahead_of_a_frame_turned_to_the_left_lies_to_its_right():
    assert np.allclose(turned(np.array([1.0, 0.0, 0.5]), np.pi / 2), [0.0, -1.0, 0.5])


def test_heights_keep_the_highest_point_of_each_column_and_forget_what_is_outside():
    surface = heights(np.array([[0.001, 0.001, 0.2], [0.002, 0.002, 0.5], [0.3, 0.0, 9.0]]), 0.1)
    assert surface.top.max() == 0.5
    assert (surface.top > BELOW).sum() == 1
    assert surface.reach_m == pytest.approx(0.1)


def test_landing_is_the_way_up_to_the_top_of_what_is_below():
    surface = heights(block([0, 0, 0.05], [0.03, 0.03, 0.05]), 0.1)
    load = block([0, 0, 0.02], [0.01, 0.01, 0.02])
    assert surface.landing(load) == pytest.approx(0.1)
    assert surface.landing(load + np.array([0, 0, 0.15])) == pytest.approx(-0.05)
    assert surface.landing(load + np.array([0.07, 0, 0])) < -1.0


def test_a_wide_load_lands_on_a_rim_and_a_narrow_one_inside_it():
    walls = [block([side * 0.05, 0, 0.04], [0.004, 0.05, 0.04]) for side in (-1, 1)]
    surface = heights(np.concatenate([*walls, block([0, 0, 0.005], [0.05, 0.05, 0.005])]), 0.12)
    assert surface.landing(block([0, 0, 0], [0.03, 0.01, 0.0])) == pytest.approx(0.01)
    assert surface.landing(block([0, 0, 0], [0.06, 0.01, 0.0])) == pytest.approx(0.08)
