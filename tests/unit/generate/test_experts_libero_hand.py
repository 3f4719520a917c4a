"""Turning and crossing, against rotations composed by scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

pytest.importorskip("mujoco")

from embodia.generate.experts._libero_hand import (
    OPEN,
    STEP_M,
    crossing_height,
    downward,
    go_home,
    hand_of,
    opening_yaw,
    pointing,
    reach,
    rotation_between,
    travel,
)


class Table:
    """A hand that goes exactly where an action asks, over boxes given as points."""

    def __init__(self, hand, points=()):
        self.hand, self.attitude, self.gap = np.array(hand, float), downward(0.0, np.eye(3)), 0.08
        self.home = (self.hand, self.attitude)
        self._points = np.array(points, float).reshape(-1, 3)
        self.highest = self.hand[2]

    def others(self, *excluded):
        return self._points

    def follow(self, hand, actions, limit=300):
        for count, action in enumerate(actions):
            assert np.abs(action).max() <= 1.0 + 1e-6
            self.hand = self.hand + action[:3] * STEP_M * 0.3
            self.attitude = Rotation.from_rotvec(action[3:6] * 0.15).as_matrix() @ self.attitude
            self.highest = max(self.highest, self.hand[2])
            assert count < limit
        return hand


@given(st.lists(st.floats(-1.7, 1.7), min_size=3, max_size=3), st.lists(st.floats(-3, 3), min_size=3, max_size=3))
def test_the_turn_between_two_attitudes_leads_from_one_to_the_other(turn, start):
    now = Rotation.from_rotvec(start).as_matrix()
    wanted = Rotation.from_rotvec(turn).as_matrix() @ now
    assert np.allclose(rotation_between(now, wanted), turn, atol=1e-6)


def test_half_a_turn_still_moves():
    assert np.linalg.norm(rotation_between(np.eye(3), np.diag([-1.0, -1.0, 1.0]))) == pytest.approx(np.pi)


def test_pointing_gives_a_right_handed_attitude_with_the_asked_axes():
    attitude = pointing([0.0, -1.0, -1.0], [1.0, 0.2, 0.0])
    assert np.allclose(attitude.T @ attitude, np.eye(3))
    assert np.linalg.det(attitude) == pytest.approx(1.0)
    assert np.allclose(attitude[:, 2], np.array([0, -1, -1]) / np.sqrt(2))
    assert attitude[0, 0] > 0.9


@given(st.floats(-3.1, 3.1), st.floats(-3.1, 3.1))
def test_pointing_down_takes_the_nearer_of_two_equal_turns(yaw, now):
    start = downward(now, np.eye(3)) if np.cos(now) >= 0 else downward(now, -np.eye(3))
    attitude = downward(yaw, start)
    assert np.allclose(attitude[:, 2], [0, 0, -1])
    assert np.linalg.norm(rotation_between(start, attitude)) <= np.pi / 2 + 1e-6
    assert abs(np.sin(opening_yaw(attitude) - yaw)) < 1e-9


def test_only_what_is_near_the_way_counts_as_to_be_crossed():
    points = np.array([[0.5, 0.0, 0.4], [0.5, 0.5, 2.0], [-0.5, 0.0, 3.0]])
    assert crossing_height(points, np.zeros(3), np.array([1.0, 0.0, 0.0])) == 0.4
    assert crossing_height(points, np.zeros(3), np.array([0.1, 0.0, 0.0])) == -np.inf


def test_reach_arrives_and_ends():
    table = Table([0.0, 0.0, 0.3])
    hand = hand_of(table)
    hand.attitude = downward(0.7, table.attitude)
    goal = np.array([0.2, -0.1, 0.1])
    table.follow(hand, reach(hand, lambda: goal))
    assert np.linalg.norm(table.hand - goal) < 0.008
    assert hand.off() < 0.12 and hand.grip == OPEN


def test_reach_gives_up_where_it_cannot_get():
    table = Table([0.0, 0.0, 0.3])
    hand = hand_of(table)
    assert 5 < len(list(reach(hand, lambda: np.array([1.0, 0.0, 0.3])))) < 30


def test_travel_goes_over_what_stands_between_with_room_for_the_load():
    wall = [[0.2, y, z] for y in np.arange(-0.3, 0.3, 0.02) for z in np.arange(0, 0.5, 0.02)]
    table = Table([0.0, 0.0, 0.1], wall)
    hand = hand_of(table)
    goal = np.array([0.4, 0.0, 0.05])
    table.follow(hand, travel(hand, lambda: goal, hanging=0.1))
    assert table.highest > 0.58
    assert np.linalg.norm(table.hand[:2] - goal[:2]) < 0.02


def test_going_home_leads_back_to_place_and_attitude_of_the_start():
    table = Table([0.1, 0.2, 0.5])
    start, others = table.hand, hand_of(table)
    others.attitude = downward(1.0, table.attitude)
    table.follow(others, reach(others, lambda: np.array([0.3, 0.0, 0.2])))
    hand = hand_of(table)
    table.follow(hand, go_home(hand))
    assert np.linalg.norm(table.hand - start) < 0.05
    assert np.linalg.norm(rotation_between(table.attitude, downward(0.0, np.eye(3)))) < 0.3
