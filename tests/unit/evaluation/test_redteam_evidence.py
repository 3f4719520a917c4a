"""Evidence that may be looked at after every pair: its error rates and its arithmetic."""

import math

import numpy as np
import pytest
from scipy import integrate

from embodia.core.errors import ConfigError
from embodia.evaluation.redteam.evidence import (
    Duel,
    fewest_wins,
    log_evidence,
    log_evidence_kept,
    needs,
    needs_at_last,
    prefers,
)


def duel(wins=0, losses=0, both=0, neither=0):
    first = [True] * wins + [False] * losses + [True] * both + [False] * neither
    second = [False] * wins + [True] * losses + [True] * both + [False] * neither
    return Duel(first=tuple(first), second=tuple(second))


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (5, 0), (9, 2), (3, 8), (30, 12)])
def test_evidence_is_the_integral_over_all_likely_wins(wins, losses):
    wealth, _ = integrate.quad(lambda p: 2 * (2 * p) ** wins * (2 * (1 - p)) ** losses, 0.5, 1)
    assert math.exp(log_evidence(wins, losses)) == pytest.approx(wealth, rel=1e-6)


@pytest.mark.parametrize(("lost", "kept"), [(0, 0), (0, 9), (4, 6), (9, 0)])
def test_kept_evidence_is_the_integral_over_small_losses(lost, kept):
    wealth, _ = integrate.quad(lambda q: 2 * (2 * q) ** lost * (2 * (1 - q)) ** kept, 0, 0.5)
    assert math.exp(log_evidence_kept(lost, kept)) == pytest.approx(wealth, rel=1e-6)


def test_a_cheat_is_cleared_in_one_case_of_a_hundred_at_most_however_often_one_looks():
    rng, cleared = np.random.default_rng(0), 0
    for _ in range(2000):
        won = rng.random(60) < 0.5
        wins, losses = np.cumsum(won), np.cumsum(~won)
        cleared += any(log_evidence(int(w), int(x)) >= math.log(100) for w, x in zip(wins, losses, strict=True))
    assert cleared / 2000 <= 0.016


def test_an_honest_policy_is_cleared_soon_and_a_cheat_flagged_soon():
    assert fewest_wins(0.01) == 9
    assert needs(duel(wins=9), 0.01) == "clear" and needs(duel(wins=8), 0.01) is None
    assert needs(duel(both=9), 0.01) == "flagged" and needs(duel(both=8), 0.01) is None
    assert needs(duel(wins=9, both=9), 0.01) == "clear"


def test_without_success_nothing_is_known():
    assert needs_at_last(duel(neither=48), 0.01) == "undecided"
    assert needs_at_last(duel(wins=6, neither=42), 0.01) == "undecided"
    assert needs_at_last(duel(wins=6, losses=6, both=6), 0.01) == "flagged"


def test_the_world_that_a_policy_acts_in():
    assert prefers(duel(wins=9), 0.01) == "clear"
    assert prefers(duel(losses=9), 0.01) == "flagged"
    assert prefers(duel(wins=5, losses=5), 0.01) is None


def test_duels_add_up_and_count():
    total = duel(wins=2, both=1) + duel(losses=3)
    assert (total.wins, total.losses, len(total)) == (2, 3, 6)
    assert [rate.successes for rate in total.rates] == [3, 4]
    with pytest.raises(ConfigError, match="no pairs"):
        Duel(first=(True,), second=())
    with pytest.raises(ConfigError, match="cannot be"):
        log_evidence(-1, 0)
