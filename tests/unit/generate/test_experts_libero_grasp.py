"""Grasps on hand-made shapes: an independent check that palm and fingers stay clear and that something is held."""

from __future__ import annotations

import numpy as np
import pytest

from embodia.generate.experts._libero_boxes import points_of, turned
from embodia.generate.experts._libero_grasp import (
    FINGER_M,
    PALM_ABOVE_M,
    PALM_M,
    TIP_BELOW_M,
    best_grasp,
    hand_points,
)

NOTHING = np.zeros((0, 3))


def block(centre, half, yaw=0.0):
    axes = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1.0]])
    return points_of(np.array(centre, float), axes, np.array(half, float))


def ring(radius, height, thickness=0.002, parts=24):
    pieces = []
    for part in range(parts):
        angle = 2 * np.pi * part / parts
        centre = [radius * np.cos(angle), radius * np.sin(angle), height / 2]
        pieces.append(block(centre, [thickness, radius * np.pi / parts, height / 2], angle))
    return np.concatenate([*pieces, block([0, 0, 0.002], [radius * 0.7, radius * 0.7, 0.002])])


def clear_of(grasp, points):
    """Whether no point is inside the open fingers or the palm, or above them, where they came from."""
    seen = turned(points - grasp.place, grasp.yaw)
    u, v, up = np.abs(seen[:, 0]), np.abs(seen[:, 1]), seen[:, 2]
    finger = (u > FINGER_M[0] + 0.002) & (u < FINGER_M[1] - 0.002) & (v < FINGER_M[2] - 0.002) & (up > -TIP_BELOW_M)
    palm = (u < PALM_M[0] - 0.002) & (v < PALM_M[1] - 0.002) & (up > PALM_ABOVE_M)
    return not (finger | palm).any()


def held(grasp, points):
    """How much of the object stands between the pads, counted in points."""
    seen = turned(points - grasp.place, grasp.yaw)
    return int(((np.abs(seen[:, 0]) < 0.035) & (np.abs(seen[:, 1]) < 0.008) & (seen[:, 2] > -TIP_BELOW_M)).sum())


@pytest.mark.parametrize("turn", [0.0, 0.4, 1.2])
def test_a_box_is_taken_across_its_narrow_side(turn):
    box = block([0.3, -0.2, 0.01], [0.04, 0.02, 0.01], turn)
    grasp = best_grasp(box, NOTHING, yaw_now=0.0, heavy_at=np.array([0.3, -0.2, 0.01]))
    across = (grasp.yaw - turn - np.pi / 2 + np.pi / 2) % np.pi - np.pi / 2
    assert abs(across) < 0.2
    assert np.linalg.norm(grasp.place[:2] - [0.3, -0.2]) < 0.012
    assert clear_of(grasp, box) and held(grasp, box) > 20


def test_a_tall_bottle_is_held_under_its_top_and_the_palm_stays_above():
    bottle = block([0, 0, 0.07], [0.02, 0.02, 0.07])
    grasp = best_grasp(bottle, NOTHING, yaw_now=0.0, heavy_at=np.array([0, 0, 0.06]))
    assert 0.1 < grasp.place[2] < 0.135
    assert clear_of(grasp, bottle)


def test_a_bowl_is_taken_by_its_rim_with_the_opening_across_it():
    bowl = ring(0.053, 0.05)
    grasp = best_grasp(bowl, NOTHING, yaw_now=0.0, heavy_at=np.zeros(3))
    out = grasp.place[:2] / np.linalg.norm(grasp.place[:2])
    assert 0.045 < np.linalg.norm(grasp.place[:2]) < 0.06
    assert abs(out @ [np.cos(grasp.yaw), np.sin(grasp.yaw)]) > 0.9
    assert clear_of(grasp, bowl) and held(grasp, bowl) > 5


def test_neighbours_decide_which_side_of_a_rim_is_free():
    bowl, wall = ring(0.053, 0.05), block([0.09, 0, 0.1], [0.02, 0.2, 0.1])
    free = best_grasp(bowl, NOTHING, yaw_now=0.0, heavy_at=np.zeros(3))
    beside = best_grasp(bowl, wall, yaw_now=0.0, heavy_at=np.zeros(3))
    assert beside is not None and beside.place[0] < 0.02
    assert clear_of(beside, np.concatenate([bowl, wall]))
    assert free.score >= beside.score


def test_what_stands_in_a_narrow_pit_has_no_grasp():
    cube, pit = block([0, 0, 0.02], [0.02, 0.02, 0.02]), [[0.05, 0], [-0.05, 0], [0, 0.05], [0, -0.05]]
    walls = np.concatenate([block([*side, 0.1], [0.028, 0.028, 0.1]) for side in pit])
    assert best_grasp(cube, walls, yaw_now=0.0, heavy_at=np.zeros(3)) is None


def test_of_two_equal_grasps_the_one_with_the_smaller_turn_wins():
    cube = block([0, 0, 0.02], [0.02, 0.02, 0.02])
    for now in (0.0, np.pi / 2):
        grasp = best_grasp(cube, NOTHING, yaw_now=now, heavy_at=np.zeros(3))
        assert abs((grasp.yaw - now + np.pi / 2) % np.pi - np.pi / 2) < 0.01


def test_an_open_hand_is_as_wide_as_its_palm_and_as_deep_as_its_fingers():
    points = hand_points()
    assert points[:, 2].max() == pytest.approx(PALM_ABOVE_M)
    assert points[:, 2].min() == pytest.approx(-TIP_BELOW_M)
    assert np.abs(points[:, 0]).max() == pytest.approx(PALM_M[0], abs=0.005)
    low = points[points[:, 2] < 0]
    assert np.abs(low[:, 0]).min() > 0.03
