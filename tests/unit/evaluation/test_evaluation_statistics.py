"""Intervals and tests against statsmodels, scipy, first principles and simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import (
    confint_proportions_2indep,
    proportion_confint,
    samplesize_proportions_2indep_onetail,
)

from embodia.core.errors import ConfigError
from embodia.evaluation import statistics as es

COUNTS = [(0, 1), (1, 1), (0, 20), (20, 20), (7, 20), (109, 120), (3, 400), (999, 1000)]


@pytest.mark.parametrize(("k", "n"), COUNTS)
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_intervals_equal_statsmodels(k, n, confidence):
    alpha = 1 - confidence
    np.testing.assert_allclose(
        es.wilson(k, n, confidence), proportion_confint(k, n, alpha, method="wilson"), atol=1e-12
    )
    np.testing.assert_allclose(
        es.clopper_pearson(k, n, confidence), proportion_confint(k, n, alpha, method="beta"), atol=1e-12
    )


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_intervals_hold_the_estimate_and_mirror(kn):
    k, n = kn
    for interval in (es.wilson, es.clopper_pearson):
        low, high = interval(k, n)
        assert 0 <= low <= k / n <= high <= 1
        mirrored = interval(n - k, n)
        assert math.isclose(mirrored[0], 1 - high, abs_tol=1e-9)
        assert math.isclose(mirrored[1], 1 - low, abs_tol=1e-9)


def test_no_episodes_say_nothing():
    assert es.wilson(0, 0) == (0.0, 1.0)
    assert es.clopper_pearson(0, 0) == (0.0, 1.0)
    assert es.paired_difference(0, 0, 0) == (-1.0, 1.0)
    assert es.Rate(successes=0, n=0).text == "not tried"
    assert not es.verdict_paired([], []).distinguishable


@pytest.mark.parametrize("bad", [(-1, 5), (6, 5), (1, 0)])
def test_impossible_counts_are_refused(bad):
    with pytest.raises(ConfigError, match="cannot be"):
        es.wilson(*bad)
    with pytest.raises(ConfigError):
        es.Rate(successes=bad[0], n=bad[1])


def test_coverage_of_the_rate_intervals():
    """Exact coverage, no simulation: sum the binomial over the outcomes whose interval holds the truth."""
    truths = np.linspace(0.02, 0.98, 97)
    for n in (20, 60, 120):
        counts = np.arange(n + 1)
        for interval, mean_at_least, always_at_least in ((es.wilson, 0.945, 0.83), (es.clopper_pearson, 0.95, 0.95)):
            ends = np.array([interval(int(k), n) for k in counts])
            inside = (ends[:, 0][:, None] <= truths) & (truths <= ends[:, 1][:, None])
            coverage = (stats.binom.pmf(counts[:, None], n, truths) * inside).sum(0)
            assert coverage.mean() >= mean_at_least
            assert coverage.min() >= always_at_least


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_equals_statsmodels(b, c):
    expected = mcnemar([[5, b], [c, 7]], exact=True).pvalue
    assert es.mcnemar_exact(b, c) == pytest.approx(min(1.0, expected), abs=1e-12)


def _pairs(rng, both, gain, loss, n, repeats):
    return rng.multinomial(n, [both, gain, loss, 1 - both - gain - loss], size=repeats)


def test_mcnemar_false_positives_stay_under_the_nominal_level():
    rng = np.random.default_rng(0)
    for discordant in (0.1, 0.4):
        counts = _pairs(rng, 0.4, discordant / 2, discordant / 2, 60, 20000)
        table = {(b, c): es.mcnemar_exact(b, c) for b, c in {(int(b), int(c)) for _, b, c, _ in counts}}
        rejected = np.mean([table[int(b), int(c)] <= 0.05 for _, b, c, _ in counts])
        assert 0.001 < rejected <= 0.05


@pytest.mark.parametrize(("both", "gain", "loss"), [(0.4, 0.1, 0.1), (0.6, 0.2, 0.05), (0.2, 0.3, 0.3), (0.85, 0.1, 0)])
def test_coverage_of_the_paired_interval(both, gain, loss):
    rng = np.random.default_rng(1)
    counts = _pairs(rng, both, gain, loss, 50, 4000)
    table = {key: es.paired_difference(*key, 50) for key in {(int(c), int(b)) for _, b, c, _ in counts}}
    held = [table[int(c), int(b)][0] <= gain - loss <= table[int(c), int(b)][1] for _, b, c, _ in counts]
    assert np.mean(held) >= 0.94


def _score_by_numerical_likelihood(gain, loss, n, delta):
    """The score statistic with the nuisance parameter found by maximising the trinomial likelihood numerically."""

    def negative(loss_share):
        gain_share = loss_share + delta
        rest = 1 - loss_share - gain_share
        terms = ((gain, gain_share), (loss, loss_share), (n - gain - loss, rest))
        return -sum(count * math.log(max(share, 1e-300)) for count, share in terms if count)

    low, high = max(0.0, -delta), (1 - delta) / 2
    q = optimize.minimize_scalar(negative, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    return (gain - loss - n * delta) / math.sqrt(n * (2 * q + delta - delta**2))


@pytest.mark.parametrize(("loss", "gain", "n"), [(2, 9, 44), (5, 6, 30), (1, 20, 120), (12, 3, 60)])
def test_paired_interval_ends_where_the_score_is_critical(loss, gain, n):
    low, high = es.paired_difference(loss, gain, n)
    z = stats.norm.ppf(0.975)
    assert _score_by_numerical_likelihood(gain, loss, n, low) == pytest.approx(z, abs=1e-4)
    assert _score_by_numerical_likelihood(gain, loss, n, high) == pytest.approx(-z, abs=1e-4)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 60))
@settings(deadline=None)
def test_paired_interval_holds_its_estimate_and_mirrors(loss, gain, concordant):
    n = loss + gain + concordant
    if n == 0:
        return
    low, high = es.paired_difference(loss, gain, n)
    assert -1 <= low <= (gain - loss) / n <= high <= 1
    assert es.paired_difference(gain, loss, n) == pytest.approx((-high, -low), abs=1e-7)


@pytest.mark.parametrize(("a", "n", "b", "m"), [(7, 20, 15, 20), (0, 30, 3, 30), (50, 120, 70, 100)])
def test_unpaired_interval_equals_statsmodels(a, n, b, m):
    expected = confint_proportions_2indep(b, m, a, n, method="newcomb", compare="diff")
    ours = es.unpaired_difference(es.Rate(successes=a, n=n), es.Rate(successes=b, n=m))
    np.testing.assert_allclose(ours, expected, atol=1e-9)


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.6), (0.8, 0.9), (0.1, 0.4), (0.9, 0.75)])
def test_planned_n_unpaired_equals_statsmodels(a, b):
    expected = samplesize_proportions_2indep_onetail(b - a, a, 0.8, alpha=0.05, alternative="two-sided")
    assert abs(es.planned_n_unpaired(a, b) - math.ceil(expected)) <= 1


@pytest.mark.parametrize(("gain", "loss"), [(0.2, 0.05), (0.3, 0.1), (0.1, 0.0), (0.02, 0.2)])
def test_planned_n_paired_really_has_that_power(gain, loss):
    n = es.planned_n_paired(gain, loss)
    rng = np.random.default_rng(2)
    counts = _pairs(rng, 0.5, gain, loss, n, 4000)
    power = np.mean([es.mcnemar_exact(int(c), int(b)) <= 0.05 for _, b, c, _ in counts])
    assert power == pytest.approx(es.paired_power(gain, loss, n), abs=0.03)
    assert 0.78 <= power <= 0.88
    assert es.paired_power(gain, loss, max(1, int(n * 0.7))) < 0.8


def test_a_plan_needs_a_difference():
    with pytest.raises(ConfigError):
        es.planned_n_paired(0.1, 0.1)
    with pytest.raises(ConfigError):
        es.planned_n_unpaired(0.5, 0.5)


def test_rule_of_three_is_the_exact_bound_to_first_order():
    for n in (20, 60, 300):
        exact = 1 - 0.05 ** (1 / n)
        assert exact <= 3 / n <= 1.1 * exact
    assert es.bound_text(0, 20) == "at most 15 %, 3/N"
    assert es.bound_text(60, 60) == "at least 95 %, 1 - 3/N"
    assert es.bound_text(0, 1) == "at most 95 %, exact"
    assert es.bound_text(3, 20) is None and es.bound_text(0, 0) is None


def test_rates_read_well():
    assert es.Rate(successes=37, n=40).text == "37/40 = 92 % (80-97)"
    assert es.Rate(successes=0, n=30).text == "0/30 = 0 % (at most 10 %, 3/N)"


def test_verdict_is_not_distinguishable_by_default():
    verdict = es.verdict_paired([True] * 10 + [False] * 10, [True] * 12 + [False] * 8)
    assert not verdict.distinguishable
    assert verdict.text.startswith("not distinguishable: +10 points")
    assert verdict.planned_n is not None and verdict.planned_n > 20
    same = es.verdict_paired([True, False], [True, False])
    assert same.planned_n is None and same.p_value == 1.0


def test_verdict_sees_a_large_difference():
    worse, better = [False] * 40 + [True] * 20, [True] * 55 + [False] * 5
    verdict = es.verdict_paired(worse, better)
    assert verdict.distinguishable and verdict.planned_n is None
    assert verdict.text.startswith("higher by +58 points")
    assert es.verdict_paired(better, worse).text.startswith("lower by -58 points")
    with pytest.raises(ConfigError, match="no pairs"):
        es.verdict_paired([True], [])


def test_unpaired_verdict_uses_boschloo_and_fisher_where_that_takes_too_long():
    first, second = es.Rate(successes=5, n=30), es.Rate(successes=25, n=30)
    verdict = es.verdict_unpaired(first, second)
    assert verdict.p_value == pytest.approx(stats.boschloo_exact([[5, 25], [25, 5]]).pvalue)
    many = es.Rate(successes=250, n=500), es.Rate(successes=300, n=500)
    assert es.unpaired_exact(*many) == pytest.approx(stats.fisher_exact([[250, 250], [300, 200]])[1])
    assert verdict.distinguishable and not verdict.paired
    assert not es.verdict_unpaired(first, es.Rate(successes=0, n=0)).distinguishable


def test_correction_withdraws_claims():
    pairs = [([False] * 6 + [True] * 10, [True] * 16)] + [([True] * 16, [True] * 16)] * 9
    alone = [es.verdict_paired(a, b) for a, b in pairs]
    assert alone[0].distinguishable
    family = es.corrected(alone)
    assert family[0].p_value == pytest.approx(10 * alone[0].p_value)
    assert not family[0].distinguishable


def test_verdicts_of_equal_policies_rarely_claim_anything():
    rng = np.random.default_rng(3)
    claims = sum(
        es.verdict_paired(list(rng.random(40) < 0.7), list(rng.random(40) < 0.7)).distinguishable for _ in range(400)
    )
    assert claims / 400 <= 0.06
