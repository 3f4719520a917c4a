"""`embodia evaluate --suite`: the list, the refusals, and a sanity run whose result file holds the shared keys."""

import json
from dataclasses import fields

import pytest

from embodia.cli import main as entry
from embodia.cli.verbs import evaluate
from embodia.evaluation.results import read_result
from embodia.evaluation.suites import load, names


def test_the_list_names_every_suite(capsys):
    assert entry.main(["evaluate", "--suite", "list"]) == 0
    shown = capsys.readouterr().out
    assert all(f"{name} " in shown for name in names())


def test_the_list_as_json_says_where_an_expert_ships(capsys):
    entry.main(["evaluate", "--suite", "list", "--json"])
    found = {item["name"]: item for item in json.loads(capsys.readouterr().out)}
    assert found["metaworld/mt50"]["expert"] and not found["rlbench"]["expert"]
    assert found["libero/goal"]["episodes"] == load("libero/goal").episodes == 50


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--suite", "metaworld/mt10", "--policy", "random"], "--out"),
        (["--suite", "metaworld/mt1", "--policy", "random", "--out", "o"], "metaworld/mt10"),
        (["--policy", "random", "--out", "o"], "--suite NAME"),
        (["--suite", "metaworld/mt10", "--out", "o"], "checkpoint"),
        (["--checkpoint", "c", "--out", "o"], "--data FOLDER"),
        (["--suite", "rlbench", "--policy", "expert", "--out", "o"], "no expert"),
        (["--suite", "calvin", "--policy", "random", "--out", "o", "--env-options", "dataset"], "name=value"),
    ],
)
def test_what_is_missing_is_named(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert entry.main(["evaluate", *words]) == 2
    assert message in capsys.readouterr().err


IGNORED = {
    "--checkpoint": "c",
    "--data": "d",
    "--remote": "ws://localhost:1",
    "--remote-contract": "env",
    "--redteam": "48",
    "--execute": "4",
    "--controls": "blank_image",
    "--control-episodes": "3",
    "--profile": "faithful",
    "--allow-other-profile": None,
    "--seed": "7",
}


@pytest.mark.parametrize("flag", IGNORED)
def test_what_a_sanity_run_would_ignore_is_refused(flag, capsys, tmp_path):
    value = [] if IGNORED[flag] is None else [IGNORED[flag]]
    words = ["--suite", "metaworld/mt10", "--policy", "random", "--out", str(tmp_path / "out")]
    assert entry.main(["evaluate", *words, flag, *value]) == 2
    told = capsys.readouterr().err
    assert f"{flag} is for a trained policy" in told and f"Leave out {flag}" in told
    assert not (tmp_path / "out").exists()


def test_every_flag_of_a_sanity_run_is_a_flag():
    assert {part.name for part in fields(evaluate.Options)} >= set(evaluate.OF_SANITY)


@pytest.mark.sim
def test_a_sanity_run_writes_report_and_result(capsys, tmp_path):
    pytest.importorskip("gym_pusht")
    out, result = tmp_path / "out", tmp_path / "pusht.json"
    words = ["--suite", "pusht", "--policy", "random", "--episodes", "1", "--workers", "1", "--slots", "1"]
    assert entry.main(["evaluate", *words, "--horizon", "10", "--out", str(out), "--result", str(result)]) == 0
    found = read_result(result)
    assert found["seconds"] == 1.0
    assert found["n"] == 1 and found["suite"]["name"] == "pusht" and found["subject"]["name"] == "random"
    assert 0 <= found["score"]["mean"] <= 1 and found["score"]["name"] == "best_reward"
    assert (out / "report.html").exists() and "pusht" in (out / "report.html").read_text()
    assert capsys.readouterr().out
