"""Figures, findings and notes from episode tables made by hand and by planted coins."""

import numpy as np
import pytest

from embodia.core.errors import ComparisonError, ConfigError, CorruptFileError, MissingFileError
from embodia.evaluation import episodes as ee
from embodia.evaluation.notes import notes
from embodia.evaluation.summary import control_margins, findings, group_rates, summarise

TASKS = ("open", "close")


def episode(arm, task, seed, success, *, told=None, followed=None, steps=10):
    return ee.Episode(
        arm=arm,
        task=task,
        seed=seed,
        instruction=f"{told or task} it",
        told=told or task,
        success=success,
        followed=success if told is None else followed,
        steps=steps,
    )


def table(arm, rate, n, rng, **more):
    return [episode(arm, task, seed, bool(rng.random() < rate), **more) for task in TASKS for seed in range(n)]


def by_hand():
    mine = [episode("policy", "open", i, i < 3) for i in range(4)] + [
        episode("policy", "close", i, True) for i in range(4)
    ]
    swapped = [
        episode("other_sentence", "open", 0, True, told="close", followed=None),
        episode("other_sentence", "open", 1, False, told="close", followed=True),
        episode("other_sentence", "open", 2, False, told="close", followed=False),
    ]
    return mine + swapped


def test_figures_by_hand():
    summary = summarise(by_hand(), rate_hz=5.0)
    assert (summary["success_rate"], summary["n"]) == (7 / 8, 8)
    assert summary["seconds"] == 11 * 10 / 5
    assert summary["per_task"]["open"]["success_rate"] == 0.75
    assert summary["per_task"]["open"]["controls"]["other_sentence"]["n"] == 3
    assert summary["per_task"]["close"]["controls"]["other_sentence"]["n"] == 0
    (row,) = summary["language"]
    assert (row["scene"], row["told"], row["already_done"]) == ("open", "close", 1)
    assert row["own"]["success_rate"] == pytest.approx(1 / 3)
    assert (row["follows"]["success_rate"], row["follows"]["n"]) == (0.5, 2)


def test_margins_use_only_shared_episodes():
    margin = control_margins(by_hand())["other_sentence"]
    assert (margin.first.n, margin.second.n) == (3, 3)
    assert (margin.first.successes, margin.second.successes) == (1, 3)


@pytest.mark.parametrize(
    ("solved", "expected"), [(0, "clear"), (12, "clear"), (44, "partly"), (54, "fails"), (60, "fails")]
)
def test_status_follows_the_margin(solved, expected):
    """The policy solves 58 of 60, the control the first `solved` of them."""
    keys = [(task, seed) for task in TASKS for seed in range(30)]
    rows = [episode("policy", *key, i < 58) for i, key in enumerate(keys)]
    rows += [episode("blank_image", *key, i < solved) for i, key in enumerate(keys)]
    assert findings(control_margins(rows))[0]["status"] == expected


def test_a_control_that_beats_the_policy_fails():
    rng = np.random.default_rng(0)
    rows = table("policy", 0.1, 30, rng) + table("blind_replay", 0.9, 30, rng)
    assert findings(control_margins(rows))[0]["status"] == "fails"


def test_an_untested_control_is_not_called_clear():
    rng = np.random.default_rng(0)
    rows = [*table("policy", 1.0, 5, rng), episode("random_policy", "elsewhere", 0, False)]
    assert findings(control_margins(rows))[0]["status"] == "untested"


@pytest.mark.parametrize("control", ["other_sentence", "blank_image", "blind_replay"])
def test_planted_cheaters_are_flagged_at_least_95_percent_of_the_time(control):
    """A cheater does as well without what it ignores; 60 paired episodes, four controls, 100 repeats."""
    flagged, rng = 0, np.random.default_rng(1)
    for _ in range(100):
        rows = table("policy", 0.85, 30, rng)
        for arm in ("blank_image", "other_sentence", "blind_replay", "random_policy"):
            rows += table(arm, 0.85 if arm == control else 0.1, 30, rng)
        status = {item["control"]: item["status"] for item in findings(control_margins(rows))}
        flagged += status[control] == "fails"
        assert {status[arm] for arm in status if arm != control} == {"clear"}
    assert flagged / 100 >= 0.95


def test_tables_survive_the_disk(tmp_path):
    rows = by_hand()
    ee.write_episodes(tmp_path / "e.jsonl", rows)
    assert ee.read_episodes(tmp_path / "e.jsonl") == rows
    assert ee.arms(rows) == ("other_sentence",) and ee.tasks(rows) == TASKS


def test_bad_tables_are_typed_errors(tmp_path):
    with pytest.raises(MissingFileError):
        ee.read_episodes(tmp_path / "none.jsonl")
    (tmp_path / "bad.jsonl").write_text("{}\n")
    with pytest.raises(ConfigError, match="line 1"):
        ee.read_episodes(tmp_path / "bad.jsonl")
    (tmp_path / "bad.jsonl").write_text("no json\n")
    with pytest.raises(CorruptFileError, match="line 1"):
        ee.read_episodes(tmp_path / "bad.jsonl")


def test_a_seed_that_occurs_twice_cannot_be_paired():
    rows = [episode("policy", "open", 0, True)] * 2
    with pytest.raises(ComparisonError, match="twice"):
        ee.paired(rows, rows)


def test_tasks_that_need_eyes_are_counted_apart():
    def replays(task, wins):
        return [episode("blind_replay", task, i, i < wins) for i in range(10)]

    mine = [episode("policy", "open", i, i < 3) for i in range(10)]
    mine += [episode("policy", "close", i, True) for i in range(10)]
    found = summarise([*mine, *replays("open", 1), *replays("close", 2)], rate_hz=1.0)
    entry = found["needs_eyes"]
    assert (entry["tasks"], entry["n"], entry["success_rate"]) == (["open"], 10, 0.3)
    text = "\n".join(notes(found, trained_known=True, differences=()))
    assert "Over the 1 tasks that blind replay solves in less than 20 %: 3/10" in text
    easy = summarise([*mine, *replays("open", 2), *replays("close", 9)], rate_hz=1.0)
    unknown = summarise(mine, rate_hz=1.0)
    few = summarise([*mine, *replays("open", 0)[:4], *replays("close", 9)], rate_hz=1.0)
    assert "needs_eyes" not in easy.keys() | unknown.keys() | few.keys()


def test_parts_are_lists_of_tasks_or_whole_sets():
    won = {"home/open": 3, "home/close": 1, "homes/open": 4, "wash": 2}
    played = [episode("policy", task, i, i < count) for task, count in won.items() for i in range(4)]
    played += [episode("blank_image", "home/open", i, True) for i in range(4)]
    found = group_rates(played, {"set": ("home",), "both": ("wash", "home/open"), "none": ("hom",)})
    rates = {name: (entry["n"], entry["success_rate"]) for name, entry in found.items()}
    assert rates == {"set": (8, 0.5), "both": (8, 0.625)}


def test_notes_name_what_is_not_shown():
    rng = np.random.default_rng(0)
    rows = table("policy", 1.0, 10, rng) + [episode("blind_replay", "open", i, i < 6) for i in range(10)]
    rows += [episode("other_sentence", "open", 0, False, told="close", followed=True)]
    found = notes(summarise(rows, rate_hz=1.0), trained_known=True, differences=("profile: a against b",))
    text = "\n".join(found)
    assert "on purpose: profile: a against b" in text
    assert "Not run: blank_image, random_policy" in text
    assert "blind replays solve open:" in text
    assert "scenes of close:" in text
    assert "as few as 10 episodes" in text
    large = table("policy", 1.0, 60, rng)
    assert not any(
        "as few as" in note for note in notes(summarise(large, rate_hz=1.0), trained_known=True, differences=())
    )
