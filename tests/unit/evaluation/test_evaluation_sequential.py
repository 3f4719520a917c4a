"""Stopping early with the promised error: exact enumeration for small races, simulation for longer ones."""

import itertools
import math

import numpy as np
import pytest
from scipy import special, stats

from embodia.core.errors import ConfigError
from embodia.evaluation import statistics as es

GAIN, LOSS, TIE = (False, True), (True, False), (True, True)


def play(pairs, most, **options):
    return es.run_race(pairs, most, **options)


@pytest.mark.parametrize("disagree", ["1111111111", "1010110111", "0000011111", "1110000000"])
@pytest.mark.parametrize("early", [0.5, 1.0, 3.0])
def test_error_of_a_race_by_enumeration(disagree, early):
    """Every course of signs for a given pattern of disagreements: the share that names a winner is at most alpha."""
    most, alpha = len(disagree), 0.1
    named, courses = 0, list(itertools.product((GAIN, LOSS), repeat=disagree.count("1")))
    for signs in courses:
        source = iter(signs)
        race = play([next(source) if mark == "1" else TIE for mark in disagree], most, alpha=alpha, early=early)
        named += race.winner is not None
    assert named / len(courses) <= alpha


def test_a_race_knows_its_own_error():
    """What is no longer alive is the exact chance of having stopped, summed over all courses of signs."""
    most, courses = 10, list(itertools.product((GAIN, LOSS), repeat=10))
    ends = [play(signs, most, alpha=0.2) for signs in courses]
    named = np.mean([race.winner is not None for race in ends])
    open_one = next(race for race in ends if race.winner is None)
    assert 0 < named <= 0.2
    assert 1 - open_one.alive.sum() == pytest.approx(named, abs=1e-12)


def test_level_by_simulation_with_dependent_arms():
    rng = np.random.default_rng(0)
    named = 0
    for _ in range(700):
        hard = rng.random(60)
        pairs = [(rng.random() < h, rng.random() < h) for h in hard]
        named += play(pairs, 60).winner is not None
    assert named <= stats.binom.ppf(0.999, 700, 0.05)


def test_power_is_near_that_of_one_test_at_the_end_and_it_stops_early():
    rng = np.random.default_rng(1)
    most, repeats = 80, 300
    wins, length, fixed = 0, 0, 0
    for _ in range(repeats):
        pairs = [(bool(a), bool(b)) for a, b in zip(rng.random(most) < 0.5, rng.random(most) < 0.75, strict=True)]
        race = play(pairs, most)
        wins += race.winner == "second"
        length += race.n
        fixed += es.verdict_paired(*zip(*pairs, strict=True)).p_value <= 0.05
    assert fixed / repeats - wins / repeats < 0.08
    assert length / repeats < 0.75 * most


def test_a_race_draws_no_pair_more_than_needed():
    drawn = []

    def source():
        for index in range(100):
            drawn.append(index)
            yield GAIN

    race = play(source(), 100)
    assert race.winner == "second" and len(drawn) == race.decided < 20
    assert es.advance(race, True, False) is race
    assert race.text.startswith(f"told apart after {race.decided} pairs: the second is better")


def test_a_race_of_equals_ends_undecided_and_says_so():
    race = play([GAIN, LOSS] * 20, 40)
    assert race.over and race.winner is None and race.lead == 0 and race.text.startswith("not told apart")
    early = play([GAIN], 40)
    assert not early.over and early.text.startswith("still open")
    assert play([LOSS] * 40, 40).winner == "first"


def test_a_race_may_end_on_a_pair_that_agrees():
    """Late in the race the budget grows while the lead stands still."""
    race = es.begin(40)
    for pair in [GAIN] * 6 + [TIE] * 34:
        race = es.advance(race, *pair)
    assert race.winner == "second" and race.decided > 6
    assert race.decided == pytest.approx(math.ceil(40 * (2 / 2**6) / 0.05), abs=1)


@pytest.mark.parametrize("bad", [{"most": 0}, {"most": 5, "alpha": 1.0}, {"most": 5, "early": 0.0}])
def test_what_makes_no_test_is_refused(bad):
    with pytest.raises(ConfigError, match="no test"):
        es.begin(**bad)


def test_evidence_is_a_fair_bet():
    """Under equality the mean of an e-value is exactly 1, whatever n."""
    for n in (1, 7, 40):
        mean = sum(stats.binom.pmf(k, n, 0.5) * es.evidence(k, n - k) for k in range(n + 1))
        assert mean == pytest.approx(1.0)
    assert es.evidence(0, 0) == 1.0
    assert es.evidence(30, 2) == es.evidence(2, 30) > 1000
    assert math.isfinite(es.evidence(5000, 0))


def test_evidence_ever_reaches_twenty_in_one_of_twenty_at_most():
    rng = np.random.default_rng(2)
    table = {(g, n): es.evidence(g, n - g) for n in range(1, 151) for g in range(n + 1)}
    signs = rng.random((2000, 150)) < 0.5
    gains = signs.cumsum(1)
    reached = [any(table[int(g), n + 1] >= 20 for n, g in enumerate(row)) for row in gains]
    assert np.mean(reached) <= 0.05


def test_rate_sequence_covers_at_all_times():
    rng = np.random.default_rng(3)
    table = {(k, n): es.rate_sequence(k, n) for n in range(1, 61) for k in range(n + 1)}
    for truth in (0.1, 0.7):
        counts = (rng.random((800, 60)) < truth).cumsum(1)
        held = [
            all(table[int(k), n + 1][0] <= truth <= table[int(k), n + 1][1] for n, k in enumerate(r)) for r in counts
        ]
        assert np.mean(held) >= 0.95
    assert es.rate_sequence(0, 0) == (0.0, 1.0)


def test_rate_sequence_ends_where_the_bet_is_won():
    low, high = es.rate_sequence(12, 40)
    assert low < es.wilson(12, 40)[0] < es.wilson(12, 40)[1] < high
    for end in (low, high):
        wealth = special.beta(12.5, 28.5) / special.beta(0.5, 0.5) / (end**12 * (1 - end) ** 28)
        assert wealth == pytest.approx(20, rel=1e-4)


def test_difference_sequence_covers_at_all_times():
    rng = np.random.default_rng(4)
    looks = (10, 20, 40)
    for gain, loss in ((0.1, 0.1), (0.3, 0.05)):
        held = 0
        for _ in range(120):
            drawn = rng.choice(3, size=40, p=[loss, 1 - gain - loss, gain])
            ends = [es.difference_sequence(int((drawn[:n] == 2).sum()), int((drawn[:n] == 0).sum()), n) for n in looks]
            held += all(low <= gain - loss <= high for low, high in ends)
        assert held / 120 >= 0.95


def test_difference_sequence_mirrors_and_is_wider_than_one_look():
    low, high = es.difference_sequence(15, 3, 60)
    assert es.difference_sequence(3, 15, 60) == pytest.approx((-high, -low), abs=1e-6)
    once = es.paired_difference(3, 15, 60)
    assert low < once[0] < 0.2 < once[1] < high
    ends = es.difference_sequence(0, 0, 0)
    assert ends[0] < -0.999 and ends[1] > 0.999
    tight = es.difference_sequence(600, 120, 2400)
    assert 0.15 < tight[0] < 0.2 < tight[1] < 0.25
