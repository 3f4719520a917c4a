"""The bench that runs itself: the judge learns to look, and a killed bench goes on where its journal ends."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from evaluation_toy import COLOURS, Honest, IgnoresImage, ToyEnv

from embodia.core.errors import ConfigError, CorruptFileError, ShapeError, StorageError, UnknownNameError
from embodia.evaluation.autoeval.classifier import JudgeConfig, load_judge, save_judge, stacked, train_judge
from embodia.evaluation.autoeval.loop import BenchConfig, Trial, agreement, read_journal, run_bench
from embodia.io.atomic import append_line, lock

TASKS = ("lamp", "door")
JUDGE = JudgeConfig(tasks=TASKS, cameras=("top",), height=16, width=16, steps=60, shift=1)
BENCH = BenchConfig(tasks=("reach-red", "reach-blue"), trials=10, horizon=24, every=2)


def picture(rng, lamp, door):
    """Noise with a bright upper half when the lamp is done, a bright left edge when the door is."""
    image = rng.integers(0, 90, (16, 16, 3), dtype=np.uint8)
    image[:5] += np.uint8(120 * lamp)
    image[6:, :5] += np.uint8(120 * door)
    return {"top": image}


def examples(count, seed):
    rng, found = np.random.default_rng(seed), []
    for number in range(count):
        lamp, door = rng.random(2) < 0.5
        task = TASKS[number % 2]
        found.append((picture(rng, lamp, door), task, bool(lamp if task == "lamp" else door)))
    return found


@pytest.fixture(scope="module")
def judge():
    rows = examples(120, seed=1)
    pictures = np.stack([stacked(images, JUDGE) for images, _, _ in rows])
    return train_judge(JUDGE, pictures, [task for _, task, _ in rows], np.array([done for *_, done in rows]), seed=3)


def test_the_judge_learns_which_task_it_is_asked_about(judge):
    right = [(judge.probability(images, task) > 0.5) == done for images, task, done in examples(60, seed=2)]
    assert np.mean(right) > 0.95


def test_a_judge_is_a_function_of_its_arguments_and_survives_the_disk(judge, tmp_path):
    save_judge(tmp_path / "judge", judge)
    images, task, _ = examples(1, seed=5)[0]
    assert load_judge(tmp_path / "judge").probability(images, task) == judge.probability(images, task)
    weights = tmp_path / "judge" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(CorruptFileError):
        load_judge(tmp_path / "judge")


def test_a_judge_refuses_what_it_does_not_know(judge):
    images, _, _ = examples(1, seed=5)[0]
    with pytest.raises(UnknownNameError, match="Did you mean 'lamp'"):
        judge.probability(images, "lampp")
    with pytest.raises(ShapeError):
        judge.probability({"top": np.zeros((8, 8, 3), np.uint8)}, "lamp")
    with pytest.raises(ShapeError):
        judge.probability({}, "lamp")
    pictures = np.stack([stacked(images, JUDGE)] * 4)
    with pytest.raises(ConfigError, match="no failure to learn from"):
        train_judge(JUDGE, pictures, ["lamp"] * 4, np.ones(4, bool))


class Looks:
    """Judges the toy by its picture: the hand is white, and done means that it covers part of the square."""

    def __init__(self, asleep=0):
        self.asleep, self.calls = asleep, 0

    def probability(self, images, task):
        self.calls += 1
        if self.calls <= self.asleep:
            return 1.0
        image = images["top"].astype(int)
        near = (np.abs(image - COLOURS[task.split("-")[1]]) < 10).all(-1)
        white = np.argwhere((image > 250).all(-1)).mean(0)
        squares = np.argwhere(near)
        return float(len(squares) > 0 and np.linalg.norm(squares.mean(0) - white) < 0.09 * 31)


def bench(journal, policy=None, judge=None, config=BENCH, **more):
    return run_bench(config, ToyEnv(), policy or Honest(), judge or Looks(), journal, np.random.default_rng, **more)


def test_a_good_policy_is_judged_done_and_the_truth_agrees(tmp_path):
    trials = bench(tmp_path / "journal.jsonl")
    assert [trial.task for trial in trials] == ["reach-red", "reach-blue"] * 5
    assert all(trial.judged and trial.truth and trial.resets == 1 and not trial.called for trial in trials)
    assert agreement(trials) == {"both_done": 10, "both_not": 0, "judge_only": 0, "truth_only": 0}
    assert read_journal(tmp_path / "journal.jsonl") == trials


def test_a_blind_policy_is_judged_not_done(tmp_path):
    trials = bench(tmp_path / "journal.jsonl", IgnoresImage())
    assert not any(trial.judged for trial in trials) and all(trial.steps == BENCH.horizon for trial in trials)


def test_agreement_counts_all_four_cases():
    base = Trial(number=0, task="a", seed=0, judged=True, probability=1, truth=True, steps=1, resets=1, called=False)
    cases = [replace(base, judged=judged, truth=truth) for judged in (True, False) for truth in (True, False, None)]
    assert agreement(cases) == {"both_done": 1, "both_not": 1, "judge_only": 1, "truth_only": 1}


def test_a_reset_that_is_not_believed_is_tried_again_and_then_a_person_is_called(tmp_path):
    done = []

    def reset(env, task, seed):
        done.append(seed)
        env.reset(task, seed)

    config = replace(BENCH, trials=1, resets=3)
    first = bench(tmp_path / "a", judge=Looks(asleep=1), config=config, reset=reset)
    assert first[0].resets == 2 and not first[0].called and len(done) == 2
    second = bench(tmp_path / "b", judge=Looks(asleep=3), config=config)
    assert second[0].resets == 3 and second[0].called


def test_who_is_called_sets_the_scene_up(tmp_path):
    called = []

    def person(env, task, seed):
        called.append((task, seed))
        env.reset(task, seed)

    lost = bench(tmp_path / "a", judge=Looks(asleep=3), config=replace(BENCH, trials=2), reset=_nothing, person=person)
    assert lost[0].called and called[0] == ("reach-red", BENCH.first_seed)
    assert lost[0].judged and lost[0].truth


def _nothing(env, task, seed):
    """A robot that cannot undo anything: the first scene is set up, later ones stay as they are."""
    if not hasattr(env, "hand"):
        env.reset(task, seed)


class Blinks:
    """Believes at the looks that are named, of those after the reset."""

    def __init__(self, *believing):
        self.believing, self.calls = believing, -1

    def probability(self, images, task):
        self.calls += 1
        return float(self.calls in self.believing)


@pytest.mark.parametrize(
    ("looks", "believing", "judged", "steps"),
    [(1, (2,), True, 4), (2, (2,), False, 24), (2, (2, 4), False, 24), (2, (3, 4), True, 8), (3, (3, 4, 5), True, 10)],
)
def test_so_many_looks_in_a_row_must_believe(tmp_path, looks, believing, judged, steps):
    config = replace(BENCH, trials=1, looks=looks)
    trial = bench(tmp_path / "a", IgnoresImage(), Blinks(*believing), config)[0]
    assert (trial.judged, trial.steps) == (judged, steps)


def test_a_torn_line_is_played_again_and_nothing_else(tmp_path):
    whole = bench(tmp_path / "whole")
    half = tmp_path / "half"
    bench(half, config=replace(BENCH, trials=4))
    half.write_bytes(half.read_bytes()[:-20])
    told = []
    assert bench(half, progress=lambda what, done, total: told.append((done, total))) == whole
    assert told[0] == (4, 10) and len(told) == 7
    assert half.read_bytes() == (tmp_path / "whole").read_bytes()


def test_two_benches_do_not_write_one_journal(tmp_path):
    held = lock(tmp_path / "journal.lock")
    with pytest.raises(StorageError, match="another process"):
        bench(tmp_path / "journal.jsonl")
    held.close()


def test_a_foreign_journal_is_a_typed_error(tmp_path):
    append_line(tmp_path / "journal.jsonl", '{"number": 0}')
    with pytest.raises(ConfigError, match="line 1"):
        bench(tmp_path / "journal.jsonl")
    with pytest.raises(ConfigError):
        replace(BENCH, trials=0)
    with pytest.raises(ConfigError):
        replace(BENCH, looks=0)


CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import test_evaluation_autoeval as t
t.bench(Path(sys.argv[2]), progress=lambda *_: t.time.sleep(0.05))
"""


def test_kill_nine_loses_no_finished_trial(tmp_path):
    whole, journal = tmp_path / "whole", tmp_path / "journal"
    bench(whole)
    words = [sys.executable, "-c", CHILD, str(Path(__file__).parent), str(journal)]
    process = subprocess.Popen(words, env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 120
    while not (journal.exists() and journal.read_bytes().count(b"\n") >= 3):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.wait()
    finished = journal.read_bytes().count(b"\n")
    bench(journal)
    assert 3 <= finished <= 10
    assert journal.read_bytes() == whole.read_bytes()
