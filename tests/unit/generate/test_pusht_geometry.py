"""The geometry of PushT's T, by property; no simulator is needed."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("shapely", reason="shapely is not installed")

from shapely.geometry import LineString, Point, Polygon

from embodia.generate.experts._pusht_table import FINGER_PX, clear, contacts, distance, inside, outline, way_round

POSES = st.tuples(st.floats(100, 400), st.floats(100, 400), st.floats(-7, 7)).map(np.array)
AREA_PX2 = 120 * 30 + 30 * 90
"""Bar and stem of gym-pusht's T at its scale of 30."""


@given(POSES)
def test_the_t_keeps_its_size_wherever_it_lies(pose):
    shape = Polygon(outline(pose))
    assert shape.is_valid and shape.area == pytest.approx(AREA_PX2) and shape.length == pytest.approx(480)


@given(POSES, st.integers(-3, 3))
def test_a_whole_turn_is_no_change(pose, turns):
    assert distance(pose, pose + np.array([0, 0, 2 * np.pi * turns])) == pytest.approx(0, abs=1e-9)


@given(POSES, POSES, POSES)
def test_distances_are_those_of_a_metric(a, b, c):
    assert distance(a, b) == pytest.approx(distance(b, a))
    assert distance(a, c) <= distance(a, b) + distance(b, c) + 1e-9


@given(POSES, POSES, st.floats(-200, 200), st.floats(-200, 200))
def test_moving_both_ts_alike_keeps_their_distance(a, b, x, y):
    shift = np.array([x, y, 0.0])
    assert distance(a + shift, b + shift) == pytest.approx(distance(a, b), abs=1e-6)


@settings(max_examples=15)
@given(POSES, st.sampled_from([7.0, 15.0, 30.0]))
def test_contacts_are_as_dense_as_asked_for_and_go_round_once(pose, spacing):
    points = np.stack([point for point, _ in contacts(pose, spacing)])
    gaps = np.linalg.norm(points[:, None] - points[None], axis=-1) + 1e9 * np.eye(len(points))
    assert gaps.min() > 0.3 * spacing and gaps.min(axis=1).max() < 2 * spacing + 1
    assert 480 / spacing * 0.7 < len(points) <= 480 / spacing + 1


@settings(max_examples=40)
@given(POSES, st.floats(0, 512), st.floats(0, 512))
def test_inside_is_where_no_side_is_crossed(pose, x, y):
    corners = outline(pose)
    crossed = 0
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if (ay > y) != (by > y) and x < ax + (y - ay) * (bx - ax) / (by - ay):
            crossed += 1
    if abs(Polygon(corners).exterior.distance(Point(x, y))) > 1e-6:
        assert inside(np.array([x, y]), corners) == (crossed % 2 == 1)


def test_clear_asks_for_the_fingers_width_and_the_margin():
    shape = Polygon([(0, 0), (10, 0), (10, 10), (0, 10)])
    side = np.array([10 + FINGER_PX + 1.0, -50.0]), np.array([10 + FINGER_PX + 1.0, 50.0])
    assert clear(*side, shape, 0.5) and not clear(*side, shape, 1.5)
    assert clear(side[0], side[0], shape, 1.5), "a finger that stands still far away"


@settings(max_examples=12)
@given(POSES, st.integers(0, 10_000))
def test_a_finger_that_touches_the_t_may_leave_it(pose, seed):
    shape, rng = Polygon(outline(pose)), np.random.default_rng(seed)
    point, inward = contacts(pose)[int(rng.integers(20))]
    start = point - inward * (FINGER_PX - 1.0)
    goal = next(
        (spot for spot in rng.uniform(30, 480, (80, 2)) if shape.distance(Point(spot)) > FINGER_PX + 8), np.zeros(2)
    )
    way = way_round(start, goal, pose)
    if way and start.min() > 30 and start.max() < 480:
        assert np.allclose(way[-1], goal)
        later = [start, *way]
        assert all(shape.distance(LineString([a, b])) > FINGER_PX - 2 for a, b in pairwise(later[1:]))


def test_a_straight_way_is_taken_where_there_is_one():
    pose, goal = np.array([400.0, 400.0, 0.0]), np.array([250.0, 60.0])
    (way,) = way_round(np.array([60.0, 60.0]), goal, pose)
    assert np.array_equal(way, goal)
