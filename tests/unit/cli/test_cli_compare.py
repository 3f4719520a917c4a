"""`embodia compare`, `report` and `duel` on chosen outcomes: what is claimed, what is refused, what is written."""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from scipy import stats

sys.path.insert(0, str(Path(__file__).parent))
from cli_folders import ENV, Guided, dots, evaluated

from embodia.cli import main as entry
from embodia.cli.evaluating import scenes
from embodia.core.config import from_json
from embodia.envs import EnvConfig, make
from embodia.envs.local import LocalVector
from embodia.envs.slot import Slot
from embodia.evaluation.plans import EvalConfig
from embodia.generate.collect import CollectConfig

GOOD, BAD = [1] * 20, [0] * 20


def call(*words):
    return entry.main([str(word) for word in words])


def told(capsys, *words):
    assert call(*words) == 0
    return json.loads(capsys.readouterr().out)


def test_a_difference_is_mcnemars_and_its_counts_are_those_of_the_tables(tmp_path, capsys):
    first = evaluated(tmp_path / "a", {"push": [1, 1, 1, 0, 0, 0] * 4, "open": [0] * 24})
    second = evaluated(tmp_path / "b", {"push": [1, 1, 1, 1, 1, 0] * 4, "open": [0] * 20 + [1] * 4})
    found = told(capsys, "compare", first, second, "--json")
    assert found["discordant"] == {"both": 12, "only_first": 0, "only_second": 12, "neither": 24}
    assert found["overall"]["p_value"] == pytest.approx(stats.binomtest(0, 12).pvalue)
    assert found["overall"]["difference"] == pytest.approx(12 / 48) and found["overall"]["distinguishable"]


def test_claims_about_single_tasks_are_corrected_for_their_number(tmp_path, capsys):
    tasks = [f"task{number}" for number in range(8)]
    first = evaluated(tmp_path / "a", {task: [0] * 7 for task in tasks})
    second = evaluated(tmp_path / "b", {task: [1] * 7 if task == "task0" else [0] * 7 for task in tasks})
    entry = told(capsys, "compare", first, second, "--json")["per_task"]["task0"]
    assert entry["p_value"] == pytest.approx(8 * 2 * 0.5**7) and not entry["distinguishable"]


def test_stars_stand_only_before_what_was_told_apart(tmp_path, capsys):
    first = evaluated(tmp_path / "a", {"push": BAD, "open": GOOD})
    second = evaluated(tmp_path / "b", {"push": GOOD, "open": GOOD})
    assert call("compare", first, second) == 0
    lines = capsys.readouterr().out.rstrip().splitlines()
    assert [line[0] for line in lines[2:]] == ["*", "*", " "]
    assert "Push" in lines[3] and "20/20" in lines[3]


def test_the_order_of_the_two_turns_the_sign(tmp_path, capsys):
    first, second = evaluated(tmp_path / "a", {"push": BAD}), evaluated(tmp_path / "b", {"push": GOOD})
    there = told(capsys, "compare", first, second, "--json")["overall"]
    back = told(capsys, "compare", second, first, "--json")["overall"]
    assert there["difference"] == -back["difference"] == 1.0 and there["p_value"] == back["p_value"]
    assert there["interval"] == pytest.approx([-end for end in back["interval"][::-1]])


def test_what_is_written_is_what_is_printed(tmp_path, capsys):
    first, second = evaluated(tmp_path / "a", {"push": BAD}), evaluated(tmp_path / "b", {"push": GOOD})
    printed = told(capsys, "compare", first, second, "--json", "--out", tmp_path / "out")
    assert json.loads((tmp_path / "out/compare.json").read_text()) == printed
    assert call("compare", first, second) == 0
    assert (tmp_path / "out/compare.txt").read_text().strip() == capsys.readouterr().out.strip()
    assert "<html" in (tmp_path / "out/compare.html").read_text()


@pytest.mark.parametrize(
    ("change", "leaf"),
    [
        ({"hits": {"pull": BAD}}, "tasks"),
        ({"hits": {"push": BAD[:-1]}}, "seeds"),
        ({"first_seed": 5}, "seeds"),
        ({"wording": "please {} it"}, "sentences"),
        ({"horizon": 99}, "horizon"),
        ({"profile": "faithful"}, "pictures"),
    ],
    ids=["tasks", "count", "seeds", "words", "horizon", "profile"],
)
def test_runs_that_met_other_episodes_are_refused(tmp_path, capsys, change, leaf):
    first = evaluated(tmp_path / "a", {"push": GOOD})
    second = evaluated(tmp_path / "b", **{"hits": {"push": BAD}, **change})
    assert call("compare", first, second, "--out", tmp_path / "out") == 2
    shown = capsys.readouterr().err
    assert "E601" in shown and f"{leaf}:" in shown and str(first) in shown and str(second) in shown
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "leaf"),
    [("{}", "config"), ("[]", "config"), ('{"config": {}}', "provenance"), ('{"config": 3}', "config")],
)
def test_a_folder_that_holds_no_evaluation_is_named(tmp_path, capsys, text, leaf):
    good = evaluated(tmp_path / "a", {"push": GOOD})
    other = evaluated(tmp_path / "b", {"push": GOOD})
    (other / "report.json").write_text(text)
    assert call("compare", good, other) == 2
    shown = capsys.readouterr().err
    assert "report.json" in shown and leaf in shown and "Traceback" not in shown


def test_a_damaged_table_is_named_with_its_line(tmp_path, capsys):
    good, other = evaluated(tmp_path / "a", {"push": GOOD}), evaluated(tmp_path / "b", {"push": GOOD})
    lines = (other / "episodes.jsonl").read_text().splitlines()
    lines[3] = lines[3].replace('"steps": 9', '"steps": "nine"')
    (other / "episodes.jsonl").write_text("\n".join(lines) + "\n")
    assert call("compare", good, other) == 2
    assert "episodes.jsonl: line 4.steps" in capsys.readouterr().err


def test_the_same_episode_twice_cannot_be_paired(tmp_path, capsys):
    good, other = evaluated(tmp_path / "a", {"push": GOOD}), evaluated(tmp_path / "b", {"push": GOOD})
    for folder in (good, other):
        table = folder / "episodes.jsonl"
        table.write_text(table.read_text() + table.read_text().splitlines()[0] + "\n")
    assert call("compare", good, other) == 2
    assert "twice" in capsys.readouterr().err


ODD = ('{"n": 3}', "[]", "3", "null", '{"per_task": {}}')


@pytest.mark.parametrize("text", ODD)
def test_json_that_is_no_evaluation_is_passed_over_by_a_leaderboard(tmp_path, capsys, text):
    evaluated(tmp_path / "runs/a", {"push": GOOD})
    (tmp_path / "runs/odd.json").write_text(text)
    assert call("report", tmp_path / "runs", "--leaderboard", tmp_path / "out") == 0
    assert "1 JSON files are no evaluation" in capsys.readouterr().out


@pytest.mark.parametrize(
    "change",
    [
        {"suite": "bench"},
        {"per_task": {"push": {"n": 3}}},
        {"per_task": [1, 2]},
        {"config": []},
        {"provenance": {"evaluated": 3}},
        {"controls": {"blank_image": {}}},
    ],
    ids=["suite", "rate", "tasks", "config", "provenance", "controls"],
)
def test_a_result_of_another_shape_is_a_typed_error_that_names_the_file(tmp_path, capsys, change):
    folder = evaluated(tmp_path / "runs/a", {"push": GOOD})
    report = {**json.loads((folder / "report.json").read_text()), **change}
    (tmp_path / "result.json").write_text(json.dumps(report))
    assert call("report", tmp_path / "result.json", "--leaderboard", tmp_path / "out") == 2
    assert "result.json" in capsys.readouterr().err


def test_a_broken_report_is_named_by_the_leaderboard(tmp_path, capsys):
    folder = evaluated(tmp_path / "runs/a", {"push": GOOD})
    (folder / "report.json").write_text("{")
    assert call("report", tmp_path / "runs", "--leaderboard", tmp_path / "out") == 2
    assert "E302" in capsys.readouterr().err


def test_levels_say_which_word_was_wrong(tmp_path, capsys):
    folder = evaluated(tmp_path / "a", {"push": GOOD})
    assert call("report", f"lock={folder}", "--levels", "manipulation") == 2
    assert "Did you mean 'look'?" in capsys.readouterr().err


@pytest.fixture
def ring(tmp_path, monkeypatch):
    """A duel without processes and without weights: checkpoints are names of policies."""
    corners = {"good": Guided(), "idle": Guided(lazy=True), "long": Guided(chunk=8)}
    provenance = make("dots", ENV).provenance
    seen = {}

    class Local(LocalVector):
        def __init__(self, family, config, *, slots, workers, history, wrap=None):
            seen.update(family=family, config=config, workers=workers, history=history)
            super().__init__(lambda: make(family, config), slots=slots, history=history)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.close()

    monkeypatch.setattr("embodia.evaluation.checkpoints.find", lambda place: place)
    monkeypatch.setattr(
        "embodia.evaluation.checkpoints.load_policy", lambda place: (corners[place.name], None, provenance)
    )
    monkeypatch.setattr("embodia.envs.vector.VectorEnv", Local)
    data = dots(tmp_path / "data")
    return data, seen


def duel(data, first, second, *more):
    return call("duel", first, second, "--data", data, "--episodes", 12, "--slots", 4, "--horizon", 40, *more)


def test_a_clear_duel_ends_early_and_names_the_winner(ring, capsys, tmp_path):
    data, seen = ring
    assert duel(data, "idle", "good", "--json", "--out", tmp_path / "duel.json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["winner"] == "second" and found["pairs"] < found["most"] == 24
    assert json.loads((tmp_path / "duel.json").read_text()) == found
    assert (seen["family"], seen["config"].horizon, seen["config"].tasks) == ("dots", 40, ENV.tasks)


def test_a_duel_is_told_in_three_lines_and_a_sign(ring, capsys):
    assert duel(ring[0], "good", "idle") == 0
    first, second, verdict, difference = capsys.readouterr().out.splitlines()
    assert first.startswith("first") and second.startswith("second")
    assert verdict.startswith("* told apart after") and "the first is better" in verdict
    assert "-100 points" in difference


def test_equals_are_not_told_apart_and_have_no_star(ring, capsys):
    assert duel(ring[0], "good", "good") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[2].startswith("  not told apart") and "+0 points" in out[3]


def test_a_policy_carries_out_its_own_habit_where_asked(ring, capsys, monkeypatch):
    lengths, run = set(), Slot.run

    def counted(self, actions):
        lengths.add(len(actions))
        return run(self, actions)

    monkeypatch.setattr(Slot, "run", counted)
    assert duel(ring[0], "good", "long", "--execute", 0) == 0
    assert lengths == {2}
    lengths.clear()
    assert duel(ring[0], "good", "long", "--execute", 8) == 0
    assert lengths == {4, 8}


def test_a_suite_that_does_not_exist_is_answered_with_the_nearest(ring, capsys):
    assert call("duel", "good", "idle", "--suite", "metaworld/mt11") == 2
    assert "Did you mean 'metaworld/mt10'?" in capsys.readouterr().err


@pytest.mark.parametrize(("family", "pixels"), [("dots", 16), ("desk", 99)], ids=["same family", "another"])
def test_a_suite_is_drawn_as_the_data_of_its_own_family_was(ring, monkeypatch, family, pixels):
    prescribed = EnvConfig(height=99, width=99, tasks=("go-green",), horizon=7)
    suite = SimpleNamespace(config=lambda: EvalConfig(family=family, env=prescribed))
    monkeypatch.setattr("embodia.cli.evaluating.load", lambda name: suite)
    found = scenes("some/suite", ring[0])
    assert found == EvalConfig(family=family, env=replace(prescribed, height=pixels, width=pixels))
    assert scenes("some/suite", None).env == prescribed
    plain = scenes("", ring[0])
    assert (plain.family, plain.tasks, plain.env) == ("dots", ENV.tasks, replace(ENV, horizon=200))


def test_scenes_that_were_trained_on_are_refused(ring, capsys, monkeypatch):
    from embodia.cli.verbs import duel as verb

    plain = verb._config
    monkeypatch.setattr(verb, "_config", lambda options: replace(plain(options), first_seed=0))
    assert duel(ring[0], "good", "idle") == 2
    assert "training data" in capsys.readouterr().err


def test_settings_that_were_damaged_are_named(ring, capsys):
    path = ring[0] / "collect.json"
    path.write_text(path.read_text().replace('"family": "dots"', '"family": 7'))
    assert duel(ring[0], "good", "idle") == 2
    assert "collect.json: family" in capsys.readouterr().err


def test_the_settings_of_the_set_are_those_that_collect_reads(ring):
    assert from_json(CollectConfig, json.loads((ring[0] / "collect.json").read_text())).env == ENV
    assert math.isclose(CollectConfig().tries, 3.0)
