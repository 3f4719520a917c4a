"""Leaderboards, means and levels by property: what is bold, what may not depend on order, what grows with evidence."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embodia.core.errors import ComparisonError
from embodia.evaluation.autoeval.classifier import _balanced, _shifted
from embodia.evaluation.cards.levels import BARS, CONDITIONS, level_card, level_of
from embodia.evaluation.episodes import Episode, paired
from embodia.evaluation.leaderboard import board_csv, make_board
from embodia.evaluation.leaderboard.entries import Entry
from embodia.evaluation.statistics import Rate, mean_over_tasks

TASKS = ("close", "open")


def entry(name, outcomes):
    hits = {task: dict(enumerate(map(bool, row))) for task, row in zip(TASKS, outcomes, strict=True)}
    return Entry(
        policy=name, suite="bench", protocol=(100, "train", "fast"), outcomes=hits, source=name, folder=Path(name)
    )


def drawn(seed, rates, n=24):
    rng = np.random.default_rng(seed)
    return [entry(f"p{i}", rng.random((2, n)) < rate) for i, rate in enumerate(rates)]


RATES = st.lists(st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]), min_size=1, max_size=5)


@settings(max_examples=30)
@given(st.integers(0, 10**6), RATES)
def test_bold_is_rank_one_alone_and_its_rate_is_the_highest(seed, rates):
    (suite,) = make_board(drawn(seed, rates))["suites"]
    bold = [row for row in suite["rows"] if row["bold"]]
    assert len(bold) <= 1 and all(row["ranks"] == [1, 1] for row in bold)
    assert all(row["success_rate"] == max(other["success_rate"] for other in suite["rows"]) for row in bold)
    for task in TASKS:
        assert sum(row["per_task"][task]["bold"] for row in suite["rows"]) <= 1


@settings(max_examples=20)
@given(st.integers(0, 10**6), RATES, st.randoms(use_true_random=False))
def test_the_order_of_entries_changes_no_rank(seed, rates, random):
    entries = drawn(seed, rates)
    mixed = random.sample(entries, len(entries))
    tables = [make_board(given)["suites"][0]["rows"] for given in (entries, mixed)]
    first, second = ({row["policy"]: (row["ranks"], row["bold"], row["n"]) for row in rows} for rows in tables)
    assert first == second


@settings(max_examples=20)
@given(st.integers(0, 10**6), RATES)
def test_the_csv_holds_each_row_and_task_once(seed, rates):
    board = make_board(drawn(seed, rates))
    lines = list(csv.DictReader(io.StringIO(board_csv(board))))
    assert len({(line["policy"], line["task"]) for line in lines}) == len(lines) == len(rates) * 3
    for line in lines:
        assert float(line["low"]) <= float(line["success_rate"]) <= float(line["high"])


def test_other_horizons_stand_in_another_column():
    first, second = drawn(0, [0.5, 0.5])
    longer = Entry(**{**vars(second), "protocol": (200, "train", "fast")})
    names = [suite["name"] for suite in make_board([first, longer])["suites"]]
    assert names == ["bench (1)", "bench (2)"]


def test_a_result_that_tells_no_protocol_joins_the_only_column_of_its_tasks():
    first, second = drawn(0, [0.5, 0.5])
    silent = Entry(**{**vars(second), "protocol": (None, None, None), "folder": None})
    (suite,) = make_board([first, silent])["suites"]
    assert len(suite["rows"]) == 2 and "independent arms" in suite["compared"]


def test_an_expert_is_shown_and_never_ranked():
    (expert,) = drawn(0, [1.0])
    expert = Entry(**{**vars(expert), "policy": "expert"})
    rows = make_board([*drawn(1, [0.3, 0.3]), expert])["suites"][0]["rows"]
    assert rows[-1]["policy"] == "expert" and rows[-1]["ranks"] is None and not rows[-1]["bold"]
    assert all(row["ranks"][1] <= 2 for row in rows[:-1])


@given(st.integers(0, 200), st.integers(0, 200))
def test_a_level_never_falls_with_a_further_success(successes, failures):
    before = level_of(Rate(successes=successes, n=successes + failures))
    after = level_of(Rate(successes=successes + 1, n=successes + failures + 1))
    assert 0 <= before <= after <= len(BARS)


@settings(max_examples=25)
@given(st.dictionaries(st.sampled_from(sorted(CONDITIONS)), st.integers(0, 40), max_size=12))
def test_a_further_measurement_never_raises_what_can_be_reached(measured):
    rates = {name: Rate(successes=hits, n=40) for name, hits in measured.items()}
    card = level_card(rates)
    assert card["level"] <= card["at_most"] and len(card["missing"]) == len(CONDITIONS) - len(rates)
    for name in rates:
        fewer = {other: rate for other, rate in rates.items() if other != name}
        assert level_card(fewer)["at_most"] >= card["at_most"]


COUNTS = st.integers(1, 40).flatmap(lambda n: st.builds(Rate, successes=st.integers(0, n), n=st.just(n)))


@given(st.lists(COUNTS, min_size=1, max_size=8))
def test_a_mean_over_tasks_like_these_is_never_surer_than_over_these(rates):
    these, such = mean_over_tasks(rates), mean_over_tasks(rates, over="such")
    assert these.value == such.value == pytest.approx(np.mean([rate.value for rate in rates]))
    assert such.interval[0] <= these.interval[0] <= these.value + 1e-12
    assert these.value - 1e-12 <= these.interval[1] <= such.interval[1] and these.n == sum(rate.n for rate in rates)


@given(COUNTS)
def test_one_task_over_these_is_wilsons(rate):
    assert mean_over_tasks([rate]).interval == pytest.approx(rate.interval, abs=1e-9)


def episode(task, seed, success):
    return Episode(
        arm="policy", task=task, seed=seed, instruction="", told=task, success=success, followed=None, steps=1
    )


KEYS = st.lists(st.tuples(st.sampled_from(TASKS), st.integers(0, 5)), max_size=10, unique=True)


@given(KEYS, KEYS, st.integers(0, 2**20))
def test_pairs_are_those_that_both_ran_in_the_order_of_the_first(left, right, bits):
    first = [episode(*key, bool(bits >> i & 1)) for i, key in enumerate(left)]
    second = [episode(*key, bool(bits >> (i + 10) & 1)) for i, key in enumerate(right)]
    a, b = paired(first, second)
    shared = [key for key in left if key in right]
    assert a == [first[left.index(key)].success for key in shared]
    assert b == [second[right.index(key)].success for key in shared]
    if first:
        with pytest.raises(ComparisonError, match="twice"):
            paired([*first, first[0]], second)


@given(st.integers(0, 4), st.integers(0, 2**31))
def test_a_shifted_picture_is_a_window_of_the_padded_one(most, seed):
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, (3, 3, 6, 7), dtype=np.uint8)
    for plain, moved in zip(pictures, _shifted(pictures, most, rng), strict=True):
        rows = [np.clip(np.arange(6) + dy, 0, 5) for dy in range(-most, most + 1)]
        columns = [np.clip(np.arange(7) + dx, 0, 6) for dx in range(-most, most + 1)]
        assert any(np.array_equal(moved, plain[:, r][:, :, c]) for r in rows for c in columns)


def test_judges_learn_from_both_outcomes_of_each_task_alike():
    config = type("Known", (), {"tasks": TASKS})()
    tasks, done = ["open", "close", "open", "open", "close"], np.array([True, False, False, True, True])
    groups = _balanced(config, tasks, done)
    assert [group.tolist() for group in groups] == [[4], [1], [0, 3], [2]]
