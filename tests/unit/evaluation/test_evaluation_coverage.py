"""The simulation behind results/statistics.json, in short: promises kept, and procedures known to be wrong seen."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from embodia.core.seeds import generator
from embodia.evaluation import statistics as es
from embodia.evaluation.results import read_result

ROOT = Path(__file__).resolve().parents[3]
_spec = importlib.util.spec_from_file_location("statistics_coverage", ROOT / "benchmarks" / "statistics_coverage.py")
simulation = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(simulation)

SLOW = {"difference_sequence": 20, "race": 100, "rank_table": 60, "bold": 60, "holm": 60, "paired_permutation": 100}
SLOW |= {"boschloo": 60, "mcnemar": 200, "mean_over_such_tasks": 150, "mean_over_these_tasks": 150}
ELSEWHERE = {"rate_sequence"}


@pytest.mark.parametrize("name", sorted(set(simulation.CHECKS) - ELSEWHERE))
def test_promises_are_kept(name):
    """So few experiments can only refute: fails when the rate lies below 93 % for certain (one chance in 10,000)."""
    check, _ = simulation.CHECKS[name]
    kept = check(generator(7, "statistics", name), SLOW.get(name, 300))
    assert es.wilson(sum(kept), len(kept), confidence=0.9998)[1] >= 0.93


@pytest.mark.parametrize(("name", "repeats"), [("wald", 4000), ("peeking", 150), ("uncorrected", 120)])
def test_wrong_procedures_are_seen(name, repeats):
    check, _ = simulation.CONTROLS[name]
    kept = check(generator(7, "statistics", name), repeats)
    assert es.wilson(sum(kept), len(kept))[1] < 0.95


def test_exact_coverage_of_wilson_and_clopper_pearson():
    for row in simulation.exact_coverage(es.wilson):
        assert 0.945 <= row["mean"] <= 0.96
    for row in simulation.exact_coverage(es.clopper_pearson):
        assert row["least"] >= 0.95 and row["mean"] > 0.955


def test_the_race_saves_pairs_and_keeps_its_power():
    easy, *_ = simulation.stopping(np.random.default_rng(0), 20)
    assert easy["race_power"] >= 0.9 and easy["race_pairs"] < 50 and easy["e_value_pairs"] < 60


def test_the_stored_result_is_of_these_procedures_and_keeps_the_promises():
    result = read_result(ROOT / "results" / "statistics.json")
    assert set(result["per_task"]) == set(simulation.CHECKS) and set(result["controls"]) == set(simulation.CONTROLS)
    assert all(entry["interval"][1] >= 0.93 for entry in result["per_task"].values())
    assert 0.945 <= result["success_rate"] <= 0.96
    assert all(entry["interval"][1] < 0.95 for entry in result["controls"].values())
    assert result["benjamini_hochberg"]["interval"][0] <= 0.05
