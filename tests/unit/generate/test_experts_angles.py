"""Angles that come round: the same direction, the shortest way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embodia.generate.experts._angles import wrapped

ANGLES = st.floats(-50.0, 50.0)
PERIODS = st.sampled_from([np.pi / 2, np.pi, 2 * np.pi])


@given(ANGLES, PERIODS)
def test_a_wrapped_angle_is_the_same_direction_and_the_shortest_way(angle, period):
    found = wrapped(angle, period)
    turns = (angle - found) / period
    assert abs(found) <= period / 2 + 1e-9 and turns == pytest.approx(round(turns), abs=1e-6)


@given(ANGLES, PERIODS)
def test_wrapping_twice_changes_nothing(angle, period):
    once = wrapped(angle, period)
    assert abs(wrapped(once, period) - once) in (pytest.approx(0, abs=1e-9), pytest.approx(period, abs=1e-9))
