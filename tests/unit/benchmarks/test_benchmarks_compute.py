"""Success against compute: milestones are judged once, in order, and stand beside the final rate."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
import draw_results
import success_against_compute as script

from embodia.evaluation.plans import EvalConfig
from embodia.evaluation.results import SHARED_KEYS
from embodia.io.atomic import write_json
from embodia.io.jsonio import read_json

RATES = {1000: 0.2, 2000: 0.5, 3000: 0.7}
LINES = [{"step": step, "seconds": step / 10, "loss": 1.0} for step in range(500, 3001, 500)]


def rate(step):
    return {"success_rate": RATES[step], "n": 100, "interval": [0.1, 0.9], "text": f"{step}"}


@pytest.fixture
def judged(tmp_path, monkeypatch):
    seen = []

    def judge(checkpoint, data, config, out, progress):
        seen.append((checkpoint.name, config.episodes, config.controls, config.control_episodes))
        return rate(int(checkpoint.name[5:]))

    recipe = SimpleNamespace(evaluate=EvalConfig(), train=SimpleNamespace(batch_size=8))
    monkeypatch.setattr(script, "FOLDER", SimpleNamespace(load=lambda name: SimpleNamespace(recipe=lambda: recipe)))
    monkeypatch.setattr(script, "judge", judge)
    monkeypatch.setattr(script, "read", lambda folder: LINES)
    places = [tmp_path / f"step-{step:09}" for step in (1000, 3000)]
    monkeypatch.setattr(script, "Store", lambda folder: SimpleNamespace(complete=lambda: places))
    monkeypatch.setattr(sys, "argv", ["success_against_compute.py", "toy", "--out", str(tmp_path)])
    final = {**dict.fromkeys(SHARED_KEYS, 0), **rate(3000), "training": {"samples": 24000, "seconds": 300}}
    write_json(tmp_path / "result.json", final)
    return SimpleNamespace(seen=seen, places=places, path=tmp_path / "result.json")


def test_milestones_are_judged_once(judged, tmp_path):
    script.main()
    judged.places.insert(1, tmp_path / "step-000002000")
    script.main()
    assert judged.seen == [(f"step-{step:09}", 2, (), 0) for step in (1000, 3000, 2000)]
    found = read_json(judged.path)
    rows = found["against_compute"]["rows"]
    assert [(row["samples"], row["seconds"], row["success_rate"]) for row in rows] == [
        (8000, 100, 0.2),
        (16000, 200, 0.5),
        (24000, 300, 0.7),
    ]
    assert found["success_rate"] == 0.7


def test_the_page_shows_milestones_alone():
    rows = [{"samples": 8000, "seconds": 120, **rate(1000), "text": "20/100 = 20 % (13-29)"}]
    final = {**rate(3000), "training": {"samples": 24000, "seconds": 300}}
    assert draw_results.learning(final) == [] and draw_results._compute({"toy": final}) == ""
    found = {**final, "against_compute": {"rows": rows}}
    assert draw_results.learning(found) == rows
    assert "| 8,000 | 2 | 20/100 = 20 % (13-29) |" in draw_results._compute({"toy": found})
