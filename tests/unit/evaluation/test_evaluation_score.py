"""Best-reward scores: the bootstrap against scipy's, and what a report holds."""

import numpy as np
import pytest
from scipy import stats

from embodia.evaluation.episodes import Episode
from embodia.evaluation.score import mean_entry, score_entry


def episode(arm, best, task="a"):
    return Episode(
        arm=arm,
        task=task,
        seed=0,
        instruction="",
        told=task,
        success=False,
        followed=None,
        steps=1,
        best_reward=best,
    )


def test_interval_agrees_with_scipys_bootstrap():
    values = np.random.default_rng(3).beta(2, 5, 40)
    entry = mean_entry(values.tolist())
    known = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=10_000, random_state=1)
    assert entry["mean"] == pytest.approx(values.mean()) and entry["n"] == 40
    assert entry["interval"] == pytest.approx([known.confidence_interval.low, known.confidence_interval.high], abs=5e-3)


def test_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(150):
        low, high = mean_entry(rng.uniform(size=40).tolist())["interval"]
        covered += low <= 0.5 <= high
    assert covered >= 132


def test_equal_values_have_no_width_and_none_are_zero():
    assert mean_entry([0.25] * 5)["interval"] == [0.25, 0.25]
    assert mean_entry([]) == {"mean": 0.0, "n": 0, "interval": [0.0, 0.0]}


def test_controls_are_scored_apart():
    entry = score_entry([episode("policy", 0.5), episode("policy", 1.0), episode("random_policy", 0.1)])
    assert entry["mean"] == 0.75 and entry["n"] == 2
    assert entry["controls"]["random_policy"]["mean"] == pytest.approx(0.1)
