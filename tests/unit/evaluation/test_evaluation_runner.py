"""Whole evaluations on the toy benchmark: honest and cheating policies, refusals, and reports that repeat exactly."""

import json
from dataclasses import replace

import numpy as np
import pytest
from evaluation_toy import (
    CONTRACT,
    PROVENANCE,
    Honest,
    IgnoresImage,
    IgnoresLanguage,
    Memorised,
    ToyData,
    ToyVector,
)

from embodia.core.clock import SimulatedClock
from embodia.core.errors import ComparisonError, ConfigError, ContractError, ProfileError, UnknownNameError
from embodia.evaluation.controls import CONTROLS
from embodia.evaluation.episodes import read_episodes
from embodia.evaluation.plans import EvalConfig
from embodia.evaluation.runner import Subject, evaluate

CONFIG = EvalConfig(family="toy", episodes=12, control_episodes=12, slots=4, clips=0, filmed=0)


def run(policy, out, *, leaks=(), config=CONFIG, **subject):
    data = ToyData(leaks=tuple(leaks))
    known = {"trained": PROVENANCE, "data": (data,), "facts": {"name": type(policy).__name__}, **subject}
    return evaluate(policy, config, out, subject=Subject(**known), vector=ToyVector(leaks, slots=config.slots))


def status(report):
    return {item["control"]: item["status"] for item in report["findings"]}


def test_an_honest_policy_passes_every_control(tmp_path):
    report = run(Honest(), tmp_path)
    assert report["success_rate"] == 1.0 and report["n"] == 24
    assert set(status(report).values()) == {"clear"}
    assert report["controls"]["blank_image"]["success_rate"] == 0.0
    swapped = report["controls"]["other_sentence"]
    assert swapped["success_rate"] == 0.0 and swapped["follows"]["success_rate"] == 1.0
    assert report["controls"]["random_policy"]["success_rate"] < 0.3
    assert report["controls"]["blind_replay"]["success_rate"] < 0.5


@pytest.mark.parametrize(
    ("cheater", "leak", "exposed"),
    [
        (IgnoresLanguage, "border", "other_sentence"),
        (IgnoresImage, "state", "blank_image"),
        (Memorised, "place", "blind_replay"),
    ],
)
def test_cheaters_succeed_and_are_exposed(tmp_path, cheater, leak, exposed):
    report = run(cheater(), tmp_path, leaks=(leak,))
    assert report["success_rate"] == 1.0
    assert status(report)[exposed] == "fails"
    honest = run(Honest(), tmp_path / "honest", leaks=(leak,))
    if leak != "place":
        assert status(honest)[exposed] == "clear"


def test_every_control_is_paired_with_the_policy(tmp_path):
    run(Honest(), tmp_path)
    table = read_episodes(tmp_path / "episodes.jsonl")
    mine = {item.key for item in table if item.arm == "policy"}
    for arm in CONTROLS:
        assert {item.key for item in table if item.arm == arm} <= mine
    assert all(item.told != item.task for item in table if item.arm == "other_sentence")
    held_out = {
        "Find the red one.",
        "Touch the square that is red.",
        "Find the blue one.",
        "Touch the square that is blue.",
    }
    assert {item.instruction for item in table} == held_out


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    clocks = [SimulatedClock(), SimulatedClock(1e6)]
    config = replace(CONFIG, clips=1, filmed=4, seed=7)
    for name, clock in zip("ab", clocks, strict=True):
        evaluate(
            Honest(slip=0.3),
            replace(config, workers=1 if name == "a" else 2),
            tmp_path / name,
            subject=Subject(trained=PROVENANCE, data=(ToyData(),)),
            vector=ToyVector(),
            clock=clock,
        )
    for file in ("report.json", "episodes.jsonl"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    other = run(Honest(slip=0.3), tmp_path / "c", config=replace(config, seed=8))
    first = json.loads((tmp_path / "a/report.json").read_text())
    assert other["seconds"] != first["seconds"]


class Counting(Honest):
    """Counts its chunks and is cut off before the one numbered `until`."""

    def __init__(self, until=10**9):
        super().__init__(slip=0.3)
        self.asked, self.until = 0, until

    def goal(self, picture, state, sentence):
        self.asked += 1
        if self.asked > self.until:
            raise KeyboardInterrupt
        return super().goal(picture, state, sentence)


def test_an_evaluation_that_was_cut_off_goes_on_with_the_next_arm(tmp_path):
    config = replace(CONFIG, clips=1, filmed=4)
    whole = Counting()
    run(whole, tmp_path / "whole", config=config)
    alone = Counting()
    run(alone, tmp_path / "alone", config=replace(config, controls=(), control_episodes=0))
    out, again = tmp_path / "cut", Counting()
    with pytest.raises(KeyboardInterrupt):
        run(Counting(until=alone.asked + 5), out, config=config, identity="weights")
    assert [path.name for path in (out / "arms").iterdir()] == ["policy.json"] and not (out / "report.json").exists()
    run(again, out, config=config, identity="weights")
    assert again.asked == whole.asked - alone.asked and not (out / "arms").exists()
    for file in ("report.json", "episodes.jsonl"):
        assert (out / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    assert sorted(path.name for path in (out / "videos").iterdir()) == sorted(
        path.name for path in (tmp_path / "whole" / "videos").iterdir()
    )


@pytest.mark.parametrize("change", [{"identity": "others"}, {"identity": ""}, {"config": replace(CONFIG, execute=2)}])
def test_arms_of_another_evaluation_are_not_taken_over(tmp_path, change):
    cut = {"identity": "weights", "config": CONFIG}
    alone = Counting()
    run(alone, tmp_path / "alone", config=replace(CONFIG, controls=(), control_episodes=0))
    with pytest.raises(KeyboardInterrupt):
        run(Counting(until=alone.asked + 5), tmp_path / "cut", **cut)
    whole, again = Counting(), Counting()
    run(whole, tmp_path / "whole", **{**cut, **change, "identity": ""})
    run(again, tmp_path / "cut", **{**cut, **change})
    assert again.asked == whole.asked


def test_seconds_are_simulated(tmp_path):
    report = run(Honest(), tmp_path)
    steps = sum(item.steps for item in read_episodes(tmp_path / "episodes.jsonl"))
    assert report["seconds"] == pytest.approx(steps / CONTRACT.action.rate_hz)
    assert "wall_seconds" not in json.dumps(report)
    assert "wall_seconds" in json.loads((tmp_path / "timing.json").read_text())


def test_training_seeds_are_refused(tmp_path):
    with pytest.raises(ComparisonError, match="12 evaluation seeds occur.*Start at 12"):
        run(Honest(), tmp_path, config=replace(CONFIG, first_seed=0), data=(ToyData(seeds=tuple(range(12))),))
    assert not list(tmp_path.iterdir())


def test_another_contract_is_refused_before_the_first_episode(tmp_path):
    policy = Honest()
    policy.contract = replace(policy.contract, action=replace(policy.contract.action, rate_hz=20.0))
    with pytest.raises(ContractError, match=r"the policy and the environment toy do not agree: action\.rate_hz"):
        run(policy, tmp_path)
    alien = ToyData()
    alien.contract = replace(CONTRACT, embodiment="hand")
    with pytest.raises(ContractError, match="the training data"):
        run(Honest(), tmp_path, data=(alien,))


def test_other_pictures_are_refused_unless_asked_for(tmp_path):
    other = replace(PROVENANCE, profile="faithful")
    with pytest.raises(ProfileError, match="faithful"):
        run(Honest(), tmp_path, trained=other)
    report = run(Honest(), tmp_path, trained=other, config=replace(CONFIG, allow_other_profile=True))
    assert "profile" in report["provenance"]["differences"][0]
    assert any("on purpose" in note for note in report["notes"])


def test_an_unknown_origin_is_noted(tmp_path):
    report = run(Honest(), tmp_path, trained=None)
    assert report["notes"][0].startswith("It is not known on which pictures")


def test_blind_replay_without_data_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="needs the training data"):
        run(Honest(), tmp_path, data=())
    report = run(Honest(), tmp_path, data=(), config=replace(CONFIG, controls=("random_policy",)))
    assert any("blank_image" in note and "Not run" in note for note in report["notes"])


def test_settings_that_cannot_be(tmp_path):
    with pytest.raises(ConfigError, match="controls use the policy's first seeds"):
        EvalConfig(episodes=5, control_episodes=6)
    with pytest.raises(UnknownNameError, match="blank_image"):
        EvalConfig(controls=("blank_imag",))
    with pytest.raises(UnknownNameError, match="reach-red"):
        run(Honest(), tmp_path, config=replace(CONFIG, tasks=("reach-rd",)))


def test_fewer_control_episodes_use_the_first_seeds(tmp_path):
    report = run(Honest(), tmp_path, config=replace(CONFIG, control_episodes=5))
    assert report["controls"]["blank_image"]["n"] == 10
    assert report["controls"]["blank_image"]["margin"]["n"] == [10, 10]
    seeds = {item.seed for item in read_episodes(tmp_path / "episodes.jsonl") if item.arm == "random_policy"}
    assert seeds == set(range(1_000_000, 1_000_005))


def test_progress_names_the_arm(tmp_path):
    told = []
    evaluate(
        Honest(),
        replace(CONFIG, episodes=2, control_episodes=2),
        tmp_path,
        subject=Subject(trained=PROVENANCE, data=(ToyData(),)),
        vector=ToyVector(),
        progress=lambda text, done, total: told.append((text, done, total)),
    )
    assert {text for text, _, _ in told} == {"policy", *CONTROLS}
    assert ("policy", 4, 4) in told


def test_results_do_not_depend_on_numpy_global_state(tmp_path):
    np.random.seed(0)
    first = run(Honest(slip=0.2), tmp_path / "a")
    np.random.seed(1)
    assert run(Honest(slip=0.2), tmp_path / "b") == first
