"""Lifelong-learning metrics against the equations written out with sums, and cases whose answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embodia.core.errors import ConfigError
from embodia.evaluation.lifelong import lifelong, success_matrix


def by_hand(c, during):
    """Equations of the paper, k counted from 1, each sum spelled out."""
    K = len(c)
    fwt = [sum(row) / len(row) for row in during]
    nbt, auc = [], []
    for k in range(1, K + 1):
        later = [c[t - 1][k - 1] for t in range(k + 1, K + 1)]
        nbt.append(sum(c[k - 1][k - 1] - value for value in later) / max(1, K - k))
        auc.append((fwt[k - 1] + sum(later)) / (K - k + 1))
    return sum(fwt) / K, sum(nbt) / K, sum(auc) / K


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_equal_to_the_equations(data):
    count, moments = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 4))
    unit = st.floats(0, 1)
    success = data.draw(arrays(float, (count, count), elements=unit))
    during = data.draw(arrays(float, (count, moments), elements=unit))
    found = lifelong(success, during)
    assert (found.fwt, found.nbt, found.auc) == pytest.approx(by_hand(success.tolist(), during.tolist()))


def test_a_perfect_memory_forgets_nothing():
    found = lifelong(np.tril(np.ones((4, 4))), np.full((4, 11), 0.5))
    assert found.nbt == 0.0 and found.fwt == 0.5
    assert found.auc == pytest.approx(np.mean([3.5 / 4, 2.5 / 3, 1.5 / 2, 0.5]))


def test_one_who_knows_only_the_last_task_forgets_all():
    found = lifelong(np.eye(3), np.ones((3, 2)))
    assert found.nbt == pytest.approx(2 / 3) and found.auc == pytest.approx((1 / 3 + 1 / 2 + 1) / 3)


def test_what_was_not_learned_yet_does_not_count():
    matrix = np.tril(np.full((3, 3), 0.4)) + np.triu(np.full((3, 3), np.nan), 1)
    assert lifelong(matrix, np.full((3, 1), 0.4)).nbt == 0.0


@pytest.mark.parametrize(
    ("success", "during", "leaf"),
    [
        (np.ones((2, 3)), np.ones((2, 1)), "success"),
        (np.ones((2, 2)), np.ones((3, 1)), "during"),
        (np.ones((2, 2)), np.ones((2, 0)), "during"),
        ([[1.0, 0.0], [np.nan, 1.0]], np.ones((2, 1)), "success"),
        (np.ones((2, 2)), [[1.2], [0.0]], "during"),
    ],
)
def test_wrong_input_names_its_leaf(success, during, leaf):
    with pytest.raises(ConfigError) as raised:
        lifelong(success, during)
    assert raised.value.leaf == leaf


def test_matrix_from_reports():
    def report(**rates):
        return {"per_task": {name: {"success_rate": rate} for name, rate in rates.items()}}

    matrix = success_matrix([report(a=0.9), report(a=0.5, b=0.8)], ("a", "b"))
    assert matrix[0, 0] == 0.9 and np.isnan(matrix[0, 1]) and matrix[1].tolist() == [0.5, 0.8]
    with pytest.raises(ConfigError, match="lacks a"):
        success_matrix([report(a=0.9), report(b=0.8)], ("a", "b"))
