"""`embodia bench zoo`: what is measured is left out, what fails is told and does not stop the others."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))
from test_zoo import result

from embodia.cli import main as entry
from embodia.cli.verbs import bench as verb
from embodia.evaluation.zoo import bench, eyes
from embodia.evaluation.zoo.protocol import ZooConfig, fingerprint


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """The verb without work: data appear at once, a measurement writes a result and notes its folder."""
    done = []

    def measure(name, config, data, out, path, progress, senses, eyes):
        assert (data, senses) == (Path("runs/zoo/rgb"), "rgb")
        assert eyes == ((f"taught for {config.eye_minutes:g}",) if config.eye_minutes else ())
        done.append((name, out))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result(name, protocol=fingerprint(config))))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench, "demonstrations", lambda config, runs, progress, workers, senses: runs / senses)
    monkeypatch.setattr(bench, "senses_of", lambda name, config: "rgb")
    monkeypatch.setattr(bench, "measure", measure)
    taught = lambda config, *_: (f"taught for {config.eye_minutes:g}",) if config.eye_minutes else ()  # noqa: E731
    monkeypatch.setattr(eyes, "taught_eyes", taught)
    return done


def test_a_policy_is_measured_once(measured, capsys):
    for _ in range(2):
        assert entry.main(["bench", "zoo", "--policy", "act"]) == 0
        shown = capsys.readouterr().out
        assert "act" in shown and "75 %" in shown
    assert [name for name, _ in measured] == ["act"]


def test_another_budget_or_again_measures_anew(measured, tmp_path):
    entry.main(["bench", "zoo", "--policy", "act"])
    entry.main(["bench", "zoo", "--policy", "act", "--minutes", "2"])
    left = measured[1][1] / "left"
    left.parent.mkdir(parents=True)
    left.write_text("an unfinished run")
    entry.main(["bench", "zoo", "--policy", "act", "--minutes", "2", "--again"])
    entry.main(["bench", "zoo", "--policy", "act", "--eye-minutes", "0"])
    assert len(measured) == 4 and measured[1][1] == measured[2][1] != measured[0][1]
    assert not left.exists()
    assert measured[0][1] == Path("runs/zoo") / fingerprint(ZooConfig()) / "act"


def test_a_typo_is_answered_before_any_work(measured, capsys):
    assert entry.main(["bench", "zoo", "--policy", "atc"]) == 2
    assert "Did you mean 'act'?" in capsys.readouterr().err and measured == []


def test_rows_as_json(measured, capsys):
    entry.main(["bench", "zoo", "--policy", "act", "--json"])
    (row,) = json.loads(capsys.readouterr().out)
    assert row["name"] == "act" and row["rate"] == {"successes": 150, "n": 200} and row["verdict"] == "learns"


def test_one_failure_does_not_stop_the_others(measured, capsys, monkeypatch):
    asked = []

    def alone(name, options):
        asked.append(name)
        return "it broke" if name == "act" else ""

    monkeypatch.setattr(verb, "_alone", alone)
    assert entry.main(["bench", "zoo", "--policy", "act", "pi0", "--workers", "2"]) == 1
    assert sorted(asked) == ["act", "pi0"] and "act failed: it broke" in capsys.readouterr().err


def test_a_process_of_its_own_gets_every_option(monkeypatch):
    seen, shown = [], []

    def run(words, env, stderr, **_):
        seen.append((words, env["OMP_NUM_THREADS"]))
        shown.append(stderr)
        return type("Done", (), {"returncode": 1, "stderr": "first\nlast line\n"})()

    monkeypatch.setattr(verb.subprocess, "run", run)
    options = verb.Options(minutes=2.0, runs=Path("a"), results=Path("b"), again=True, workers=2)
    assert verb._alone("act", options).endswith("last line")
    verb._alone("act", replace(options, workers=1))
    assert shown == [verb.subprocess.PIPE, None], "alone at work, progress is seen"
    words, threads = seen[0]
    told = entry.parse(verb, "bench", words[words.index("bench") + 1 :])
    assert threads == "1" and told.policy == ("act",) and told.workers == 1
    assert (told.minutes, told.runs, told.results, told.again) == (2.0, Path("a"), Path("b"), True)


def test_a_rehearsal_tells_what_fails_and_goes_on(measured, capsys, monkeypatch):
    def rehearse(name, config, data):
        if name == "act":
            raise ValueError("shapes\n differ")
        return bench.Rehearsal(name=name, parameters=2_500_000, step_s=0.5, decision_s=0.01, samples_per_s=128.0)

    monkeypatch.setattr(bench, "rehearse", rehearse)
    assert entry.main(["bench", "zoo", "--dry", "--policy", "act", "pi0"]) == 1
    failed, fine = capsys.readouterr().out.splitlines()
    assert failed.split()[:2] == ["FAILED", "act"] and "ValueError: shapes differ" in failed
    assert fine.split()[:2] == ["ok", "pi0"] and "2.50 M" in fine and "128 samples/s" in fine
    assert measured == [] and entry.main(["bench", "zoo", "--dry", "--policy", "pi0"]) == 0


def test_each_policy_learns_from_the_recording_that_it_wants(measured, monkeypatch):
    seen = {}
    monkeypatch.setattr(bench, "senses_of", lambda name, config: "rgb,points" if name == "pi0" else "rgb")
    monkeypatch.setattr(bench, "rehearse", lambda name, config, data: seen.update({name: data}) or fine(name))
    entry.main(["bench", "zoo", "--dry", "--policy", "pi0", "act"])
    assert seen == {"pi0": Path("runs/zoo/rgb,points"), "act": Path("runs/zoo/rgb")}


def fine(name):
    return bench.Rehearsal(name=name, parameters=1, step_s=1.0, decision_s=1.0, samples_per_s=1.0)
