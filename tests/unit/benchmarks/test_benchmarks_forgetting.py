"""Four stages of spurious forgetting: who begins from whom, on which data, for how long; nothing is trained here."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
import spurious_forgetting as script
from data_fakes import contract, episode, provenance

from embodia.data.recorder import Recorder
from embodia.evaluation.language import Answered


@dataclass(frozen=True)
class Made:
    """What stands for factories: the shares of the data, and who makes the policy."""

    shares: dict
    policy: Callable


@pytest.fixture
def data(tmp_path):
    with Recorder(tmp_path / "set", contract=contract(), provenance=provenance(), video="lossless") as recorder:
        for seed in range(20):
            texts = {"vqa": (f"answer {seed}",) * 4, "vqa?": ("what?",) * 4}
            recorder.record(replace(episode(seed, length=4), answers=texts))
    return tmp_path / "set"


def test_stages_begin_where_they_should(data, tmp_path, monkeypatch):
    seen, asked = {}, []

    def from_mixture(config, spec, mixture):
        names = [part.name for part in mixture.datasets]
        shares = dict(zip(names, (count / mixture.epoch_samples for count in mixture.counts), strict=True))
        assert spec.config.answers == "" and config.validation_fraction == 0.0
        return Made(shares=shares, policy=lambda: "new")

    def fit(config, factories, out, tell):
        seen[out.name] = (config.samples, factories.shares, factories.policy())
        return SimpleNamespace(latest=out)

    def loaded(place):
        return SimpleNamespace(name=place.name, train=lambda: f"from {place.name}"), None, None

    def answer(policy, held, *, frames, rng, progress):
        asked.append((policy.name, held.name, {row.index for row in held.episodes}))
        right = {"words": 9, "acts": 1, "both": 8, "again": 7}[policy.name]
        return Answered(said=("yes",) * right + ("no",) * (10 - right), wanted=("yes",) * 10)

    for name, value in (("from_mixture", from_mixture), ("fit", fit), ("load_policy", loaded), ("answer", answer)):
        monkeypatch.setattr(script, name, value)
    result = tmp_path / "result.json"
    words = ["x", "--data", str(data), "--out", str(tmp_path / "out"), "--result", str(result), "--samples", "1000"]
    monkeypatch.setattr(sys, "argv", words)
    script.main()
    assert seen["words"] == (1000, {"set?vqa": 1.0}, "new")
    assert seen["acts"] == (1000, {"set": 1.0}, "from words")
    assert seen["both"][2] == "from words" and seen["both"][1]["set?vqa"] == pytest.approx(0.25, abs=0.02)
    assert seen["again"] == (100, {"set?vqa": 1.0}, "from acts")
    held = asked[0][2]
    assert (
        all(row == (name, "set?vqa", held) for row, name in zip(asked, script.STAGES, strict=True)) and len(held) == 2
    )
    found = json.loads(result.read_text())
    assert found["success_rate"] == 0.1 and found["controls"]["words"]["success_rate"] == 0.9
    assert found["changes"]["acts"]["forgets"] and not found["changes"]["both"]["forgets"]
