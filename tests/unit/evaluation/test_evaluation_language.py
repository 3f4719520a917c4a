"""Answers against a parrot, a liar and one who forgets; the frames asked are the same before and after."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
from data_fakes import contract, episode, provenance

from embodia.core.errors import ConfigError
from embodia.core.types import ActionChunk, Message
from embodia.data.dataset import Dataset
from embodia.data.recorder import Recorder
from embodia.evaluation.language import Answered, answer, forgetting_entry, forgotten


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("asked") / "set"
    with Recorder(root, contract=contract(), provenance=provenance(), video="lossless") as recorder:
        for seed in range(2):
            questions = tuple(f"What is {place} plus {seed}?" for place in range(12))
            answers = tuple(f"The sum is {place + seed}." for place in range(12))
            recorder.record(replace(episode(seed), answers={"vqa": answers, "vqa?": questions}))
    return Dataset.open(root)


class Speaker:
    """Adds numbers, but has forgotten those from `forgets` on; says it itself or through a slower system."""

    history = 1

    def __init__(self, forgets=99, through="thought"):
        self.contract, self.forgets, self.through, self.seen = contract(), forgets, through, []

    def act(self, observation, carry, rng):
        self.seen += observation.instruction
        words = tuple(self.say(text) for text in observation.instruction)
        chunk = ActionChunk(
            actions=np.zeros((len(words), 1, 4), np.float32), valid=np.ones((len(words), 1), bool), spec=None
        )
        if self.through == "message":
            return chunk, SimpleNamespace(thought=(), message=Message(text=words))
        return chunk, SimpleNamespace(thought=words if self.through else (), message=None)

    def say(self, question):
        total = sum(int(word) for word in question.strip("?").split() if word.isdigit())
        return f"the sum is {total}" if total < self.forgets else "pick up the cube"


@pytest.mark.parametrize("through", ["thought", "message"])
def test_right_answers_count_whatever_their_case_and_stops(data, through):
    policy, told = Speaker(through=through), []
    found = answer(policy, data.asking("vqa"), frames=24, batch=7, progress=lambda *row: told.append(row))
    assert found.rate.value == 1.0 and found.overlap == 1.0 and len(found.said) == 24
    assert len(set(policy.seen)) == 24 and told[-1] == ("questions", 24, 24)


def test_frames_are_spread_over_the_whole_set(data):
    policy = Speaker()
    answer(policy, data.asking("vqa"), frames=3)
    assert policy.seen == ["What is 0 plus 0?", "What is 0 plus 1?", "What is 11 plus 1?"]


def test_any_kind_can_be_asked_of_a_set_with_its_own_instructions(data):
    policy = Speaker()
    found = answer(policy, data, kind="vqa", frames=4)
    assert set(policy.seen) == {"push the puck", "open the drawer"} and found.wanted[0] == "The sum is 0."


def test_who_says_nothing_and_who_is_asked_nothing_is_refused(data):
    with pytest.raises(ConfigError, match="says nothing"):
        answer(Speaker(through=""), data.asking("vqa"), frames=2)
    with pytest.raises(ConfigError, match="no question"):
        answer(Speaker(), data, frames=2)


def test_forgetting_is_certain_only_when_it_is(data):
    asked = data.asking("vqa")
    before, after, little = (answer(Speaker(forgets), asked, frames=24) for forgets in (99, 4, 12))
    entry = forgetting_entry(before, after)
    assert entry["forgets"] and entry["before"]["success_rate"] == 1.0
    assert entry["after"]["success_rate"] == pytest.approx(7 / 24)
    assert entry["change"]["difference"] == pytest.approx(-17 / 24) and entry["change"]["paired"]
    assert entry["after"]["overlap"] < 0.5
    assert not forgetting_entry(before, little)["forgets"] and forgotten(before, little).difference < 0
    assert not forgetting_entry(after, before)["forgets"], "winning is no loss"


def test_other_questions_are_not_compared(data):
    asked = data.asking("vqa")
    with pytest.raises(ConfigError, match="different questions"):
        forgotten(answer(Speaker(), asked, frames=4), answer(Speaker(), asked, frames=5))


@pytest.mark.parametrize(
    ("said", "wanted", "overlap"),
    [("the red cube", "The red cube.", 1.0), ("red", "the red cube", 0.5), ("", "yes", 0.0), ("a a", "a b", 0.5)],
)
def test_overlap_counts_words(said, wanted, overlap):
    found = Answered(said=(said,), wanted=(wanted,))
    assert found.overlap == pytest.approx(overlap) and found.right == (overlap == 1.0,)
