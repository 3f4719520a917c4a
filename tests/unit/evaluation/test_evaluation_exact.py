"""Exact tests, corrections and means over tasks, against statsmodels, enumeration and simulation."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import test_proportions_2indep as proportions_test

from embodia.core.errors import ConfigError
from embodia.evaluation import statistics as es


def rate(successes, n):
    return es.Rate(successes=successes, n=n)


def level(test, n, m, truth):
    """Exact false-positive rate at 5 %: the weight of all tables that the test calls different."""
    tables = itertools.product(range(n + 1), range(m + 1))
    weights = {(a, b): stats.binom.pmf(a, n, truth) * stats.binom.pmf(b, m, truth) for a, b in tables}
    return sum(w for (a, b), w in weights.items() if w > 1e-9 and test(rate(a, n), rate(b, m)) <= 0.05)


@pytest.mark.parametrize("truth", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("test", [es.boschloo, es.barnard, es.fisher])
def test_unpaired_tests_hold_their_level_exactly(test, truth):
    assert level(test, 9, 9, truth) <= 0.05 + 1e-9


def test_boschloo_never_says_less_than_fisher_on_the_same_side():
    for a, b in itertools.product(range(0, 13, 2), range(0, 11, 2)):
        table = [[a, 12 - a], [b, 10 - b]]
        sides = [stats.fisher_exact(table, alternative=side)[1] for side in ("less", "greater")]
        assert es.boschloo(rate(a, 12), rate(b, 10)) <= min(1.0, 2 * min(sides)) + 1e-9
    assert level(es.boschloo, 9, 9, 0.5) > level(es.fisher, 9, 9, 0.5)


def test_unpaired_tests_without_episodes_say_nothing():
    for test in (es.boschloo, es.barnard, es.unpaired_exact):
        assert test(rate(0, 0), rate(4, 5)) == 1.0
    assert es.barnard(rate(5, 5), rate(7, 7)) == 1.0


def test_exact_tests_agree_with_the_score_test_for_many_episodes():
    found = es.boschloo(rate(70, 150), rate(95, 150))
    expected = proportions_test(70, 150, 95, 150, method="score", compare="diff").pvalue
    assert found == pytest.approx(expected, rel=0.15)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=8))
@settings(deadline=None, max_examples=20)
def test_permutation_of_pairs_equals_enumeration(pairs):
    difference = np.array([b - a for a, b in pairs], dtype=float)
    signs = np.array(list(itertools.product((-1, 1), repeat=len(pairs))))
    means = (signs * np.abs(difference)).mean(1)
    up, down = np.mean(means >= difference.mean() - 1e-9), np.mean(means <= difference.mean() + 1e-9)
    found = es.paired_permutation([a for a, _ in pairs], [b for _, b in pairs])
    assert found == pytest.approx(min(1.0, 2 * min(up, down)))


def test_permutation_of_successes_is_mcnemar():
    first, second = [True] * 3 + [False] * 9 + [True] * 5, [False] * 3 + [True] * 9 + [True] * 5
    assert es.paired_permutation(first, second, draws=200_000) == pytest.approx(es.mcnemar_exact(3, 9), abs=1e-9)


def test_drawn_permutations_never_say_zero_and_repeat():
    first, second = list(range(30)), [value + 10 for value in range(30)]
    found = es.paired_permutation(first, second, draws=99)
    assert found == pytest.approx(2 / 100) and found == es.paired_permutation(first, second, draws=99)
    assert es.paired_permutation([1, 2], [1, 2]) == es.paired_permutation([0], [5]) == 1.0
    with pytest.raises(ConfigError, match="no pairs"):
        es.paired_permutation([1.0], [])


def test_paired_mean_is_students():
    first, second = [1.0, 2.0, 4.0, 3.0], [2.0, 2.5, 4.5, 6.0]
    mean, interval = es.paired_mean(first, second)
    expected = stats.ttest_rel(second, first).confidence_interval()
    assert mean == pytest.approx(1.25) and interval == pytest.approx((expected.low, expected.high))
    assert es.mean_interval([3.0])[1] == (-np.inf, np.inf) and es.mean_interval([])[0] == 0.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(deadline=None, max_examples=30)
def test_corrections_equal_statsmodels(p_values):
    for ours, name in ((es.holm, "holm"), (es.benjamini_hochberg, "fdr_bh"), (es.benjamini_yekutieli, "fdr_by")):
        assert ours(p_values) == pytest.approx(multipletests(p_values, method=name)[1], abs=1e-12)
    assert es.benjamini_hochberg([]) == es.benjamini_yekutieli([]) == es.holm([]) == ()


def test_mean_over_these_tasks_covers():
    rng = np.random.default_rng(0)
    truths, n = np.array([0.05, 0.3, 0.6, 0.9, 0.95, 0.5]), 20
    counts = rng.binomial(n, truths, size=(1500, len(truths)))
    held = []
    for row in counts:
        low, high = es.mean_over_tasks([rate(int(k), n) for k in row]).interval
        held.append(low <= truths.mean() <= high)
    assert 0.93 <= np.mean(held) <= 0.98


def test_mean_over_such_tasks_covers_the_mean_of_all_tasks():
    rng = np.random.default_rng(1)
    held, narrow = [], []
    for _ in range(600):
        truths = rng.beta(2, 2, size=8)
        rates = [rate(int(k), 50) for k in rng.binomial(50, truths)]
        for over, found in (("such", held), ("these", narrow)):
            low, high = es.mean_over_tasks(rates, over=over).interval
            found.append(low <= 0.5 <= high)
    assert 0.92 <= np.mean(held) <= 0.98
    assert np.mean(narrow) < 0.6


def test_one_task_says_nothing_about_others_and_an_empty_task_is_refused():
    assert es.mean_over_tasks([rate(5, 10)], over="such").interval == (0.0, 1.0)
    assert es.mean_over_tasks([rate(5, 10)]).interval == pytest.approx(es.wilson(5, 10))
    found = es.mean_over_tasks([rate(10, 10), rate(0, 10)])
    assert found.value == 0.5 and found.n == 20 and 0 < found.interval[0] < 0.5 < found.interval[1] < 1
    with pytest.raises(ConfigError, match="every task"):
        es.mean_over_tasks([rate(0, 0)])
