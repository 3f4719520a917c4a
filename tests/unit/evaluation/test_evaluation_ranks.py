"""Rank tables: the promise (simultaneous coverage), the letters, the bootstrap, and bold only when alone in front."""

import itertools

import numpy as np
import pytest

from embodia.core.errors import ConfigError
from embodia.evaluation import statistics as es


def draw(rng, truths, n):
    return {name: {("task", seed): bool(rng.random() < p) for seed in range(n)} for name, p in truths.items()}


def test_simultaneous_coverage_and_no_false_first():
    rng = np.random.default_rng(0)
    truths = {"a": 0.9, "b": 0.7, "c": 0.7, "d": 0.3}
    best = {name: 1 + sum(q > p for q in truths.values()) for name, p in truths.items()}
    worst = {name: sum(q >= p for q in truths.values()) for name, p in truths.items()}
    held, found = 0, 0
    for _ in range(250):
        table = es.rank_table(draw(rng, truths, 40))
        held += all(s.ranks[0] <= best[s.name] and worst[s.name] <= s.ranks[1] for s in table.standings)
        found += any(s.name == "d" and s.ranks[0] > 1 for s in table.standings)
    assert held / 250 >= 0.94
    assert found / 250 > 0.9


def test_equal_policies_are_all_first_and_last():
    table = es.rank_table(draw(np.random.default_rng(1), dict.fromkeys("abcd", 0.5), 30))
    assert {s.ranks for s in table.standings} == {(1, 4)} and {s.groups for s in table.standings} == {"a"}
    assert not any(s.alone for s in table.standings)


def test_the_clear_winner_stands_alone_and_nobody_else():
    table = es.rank_table(draw(np.random.default_rng(2), {"good": 0.97, "fair": 0.4, "poor": 0.35}, 60))
    first, *rest = table.standings
    assert first.name == "good" and first.alone and first.ranks == (1, 1)
    assert not any(s.alone for s in rest) and {s.ranks for s in rest} == {(2, 3)}
    assert not set(first.groups) & set(rest[0].groups) and rest[0].groups == rest[1].groups
    assert table.verdicts["good", "poor"].difference < 0


def test_one_policy_is_never_alone_in_front():
    (only,) = es.rank_table({"a": {1: True}}).standings
    assert only.ranks == (1, 1) and not only.alone
    with pytest.raises(ConfigError, match="no rank"):
        es.rank_table({"a": {}})


def test_policies_without_shared_episodes_are_compared_as_independent_arms():
    table = es.rank_table({"a": {i: True for i in range(20)}, "b": {-i: False for i in range(1, 21)}})
    assert not table.verdicts["a", "b"].paired and table.standings[0].alone


@pytest.mark.parametrize("seed", range(30))
def test_letters_are_shared_exactly_by_those_not_told_apart(seed):
    rng = np.random.default_rng(seed)
    names = list("pqrstu")
    beats = {pair for pair in itertools.combinations(names, 2) if rng.random() < 0.4}
    letters = es.letter_groups(names, beats)
    assert all(letters.values())
    for a, b in itertools.combinations(names, 2):
        assert bool(set(letters[a]) & set(letters[b])) == ((a, b) not in beats)


def table_of(rng, truths, tasks=4, n=25):
    return {name: {f"t{t}": list(rng.random(n) < p) for t in range(tasks)} for name, p in truths.items()}


@pytest.mark.parametrize("over", ["episodes", "tasks and episodes"])
def test_bootstrap_ranks_describe_the_order(over):
    outcomes = table_of(np.random.default_rng(3), {"good": 0.95, "x": 0.5, "y": 0.5, "poor": 0.05})
    ranks = es.bootstrap_ranks(outcomes, over=over, draws=300)
    assert ranks["good"] == (1, 1) and ranks["poor"] == (4, 4)
    assert ranks["x"][0] == 2 and ranks["y"][1] == 3
    assert ranks == es.bootstrap_ranks(outcomes, over=over, draws=300)


def test_bootstrap_over_tasks_is_wider():
    """One task decides everything: drawn again without it, the order is open."""
    outcomes = {
        "a": {"t0": [True] * 30, "t1": [False] * 30},
        "b": {"t0": [False] * 30, "t1": [True] * 27 + [False] * 3},
    }
    assert es.bootstrap_ranks(outcomes, draws=200, over="tasks and episodes")["a"] == (1, 2)
    assert es.bootstrap_ranks(outcomes, draws=200)["a"][0] == 1


def test_bootstrap_refuses_tables_of_different_shape():
    with pytest.raises(ConfigError, match="same tasks"):
        es.bootstrap_ranks({"a": {"t": [True]}, "b": {"u": [True]}})
    with pytest.raises(ConfigError, match="equal numbers"):
        es.bootstrap_ranks({"a": {"t": [True]}, "b": {"t": [True, False]}})
    with pytest.raises(ConfigError, match="cannot draw"):
        es.bootstrap_ranks({"a": {"t": [True]}}, over="months")
