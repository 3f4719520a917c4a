"""Stored sanity rows: every suite that can be run here has one, experts are high, random actions near zero."""

from pathlib import Path

import pytest

from embodia.evaluation.results import read_result
from embodia.evaluation.suites import load, names

ROWS = {path.stem: read_result(path) for path in sorted(Path(__file__).parents[3].glob("results/suites/*.json"))}
NOT_ON_AN_INDEX = ("calvin", "rlbench", "robocasa", "robotwin", "simpler")
PARTS = ("ogbench/", "libero_pro")
"""Suites of which a row is not asked for by name: parts of ogbench; of libero_pro one of each kind will do."""
MANY = 20
"""Episodes from which a row tells high from low."""


def runnable():
    """Suites whose packages and assets can be installed."""
    return [name for name in names() if name.split("/")[0] not in NOT_ON_AN_INDEX and not name.startswith(PARTS)]


@pytest.mark.parametrize("suite", runnable())
def test_every_suite_that_runs_has_a_row(suite):
    assert suite in {row["suite"]["name"] for row in ROWS.values()}


@pytest.mark.parametrize("kind", ["lan", "object", "swap", "task"])
def test_every_kind_of_libero_pro_has_a_row(kind):
    assert any(
        row["suite"]["name"].startswith("libero_pro/") and row["suite"]["name"].endswith(f"_{kind}")
        for row in ROWS.values()
    )


@pytest.mark.parametrize("name", ROWS)
def test_a_row_says_what_was_played(name):
    row = ROWS[name]
    tasks = load(row["suite"]["name"]).env.tasks
    assert row["command"].startswith(f"embodia evaluate --suite {row['suite']['name']} ")
    assert row["n"] == sum(entry["n"] for entry in row["per_task"].values()) > 0
    low, high = row["interval"]
    assert 0 <= low <= row["success_rate"] <= high <= 1
    if tasks and not row["suite"]["name"].startswith("libero"):
        assert set(row["per_task"]) <= set(tasks)


@pytest.mark.parametrize("name", ROWS)
def test_experts_are_high_and_random_actions_near_zero(name):
    row = ROWS[name]
    random = row["controls"].get("random_policy", row)
    assert random["success_rate"] <= 0.15
    if row["subject"]["name"] == "expert":
        assert row["success_rate"] > random["success_rate"]
        assert row["n"] < MANY or row["success_rate"] >= 0.8
    else:
        assert any(note.startswith("No scripted expert ships") for note in row["notes"]) or row["controls"] == {}


def test_chains_count_how_many_were_done_in_a_row():
    chains = ROWS["desk_chains"]["chains"]
    shares = [chains["in_a_row"][str(count)]["success_rate"] for count in range(1, 6)]
    assert shares == sorted(shares, reverse=True)
    assert chains["average_length"]["mean"] == pytest.approx(sum(shares))
    assert chains["average_length"]["mean"] > 4.5 > 0.5 > chains["controls"]["random_policy"]["average_length"]["mean"]
