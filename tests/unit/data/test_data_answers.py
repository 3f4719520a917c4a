"""Texts beside the frames: what goes in comes out, questions stand alone without actions, damage is named."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from data_fakes import contract, episode, provenance

from embodia.core.errors import CorruptFileError, ShapeError, UnknownNameError
from embodia.data.answers import path_of
from embodia.data.dataset import Dataset
from embodia.data.loader import Loader, validation_batches
from embodia.data.mixture import Mixture
from embodia.data.recorder import Recorder
from embodia.io.table import read_table, write_table

LENGTHS = (8, 5, 11)


def told(seed, length):
    return {
        "subtask": tuple(f"step {place // 3} of {seed}" for place in range(length)),
        "vqa": tuple(str(place) for place in range(length)),
        "vqa?": tuple(f"where in {seed}?" for _ in range(length)),
    }


def record(root, answers=told):
    with Recorder(root, contract=contract(), provenance=provenance(), video="lossless") as recorder:
        for seed, length in enumerate(LENGTHS):
            recorder.record(replace(episode(seed, length=length), answers=answers(seed, length)))
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return record(tmp_path_factory.mktemp("told") / "set")


def test_every_frame_says_what_was_recorded(root):
    data = Dataset.open(root)
    assert data.answers == ("subtask", "vqa")
    expected = [text for seed, length in enumerate(LENGTHS) for text in told(seed, length)["subtask"]]
    batch = data.batch(np.arange(data.frames)[::-1], 2, answers="subtask")
    assert batch.answer == tuple(expected[::-1]) and batch.observation.instruction[0] == "push the puck"
    assert data.batch(np.arange(3), 2).answer == ()


def test_selections_keep_their_own_texts(root):
    chosen = Dataset.open(root).select([2]).thin(4)
    assert chosen.batch(np.arange(chosen.frames), 1, answers="vqa").answer == ("0", "4", "8")


def test_questions_stand_in_for_instructions_without_an_action(root):
    data = Dataset.open(root)
    asking = data.asking("vqa")
    ids = np.array([9, 0])
    batch = asking.batch(ids, 3, answers="subtask", paraphrase=np.zeros(2, np.uint64))
    assert batch.observation.instruction == ("where in 1?", "where in 0?") and batch.answer == ("1", "0")
    assert not batch.chunk.valid.any() and batch.dataset == ("set?vqa", "set?vqa")
    assert data.batch(ids, 3).chunk.valid.any(), "the set itself keeps its actions"
    np.testing.assert_array_equal(batch.observation.state, data.batch(ids, 3).observation.state)


@pytest.mark.parametrize("ask", [lambda d: d.batch(np.arange(2), 1, answers="vqaa"), lambda d: d.asking("subtask")])
def test_a_kind_that_is_not_there_is_answered_with_those_that_are(root, ask):
    with pytest.raises(UnknownNameError, match="vqa"):
        ask(Dataset.open(root))


def test_a_mixture_gives_questions_their_exact_share(root):
    data = Dataset.open(root)
    mixture = Mixture([(data, 3.0), (data.asking("vqa"), 1.0)], epoch_samples=200)
    with Loader(mixture, batch_size=200, chunk=2, answers="subtask", workers=0) as loader:
        batch = loader.fetch(0)
    asked = np.array(batch.dataset) == "set?vqa"
    assert asked.sum() == 50 and not batch.chunk.valid[asked].any() and batch.chunk.valid[~asked, 0].all()
    said = np.array(batch.answer)
    assert all(text.startswith("step") for text in said[~asked]) and all(text.isdigit() for text in said[asked])


def test_actions_alone_say_nothing_beside_questions(root):
    data = Dataset.open(root)
    mixture = Mixture([(data, 1.0), (data.asking("vqa"), 1.0)])
    batch = Loader(mixture, batch_size=32, chunk=2, workers=0).fetch(0)
    asked = np.array(batch.dataset) == "set?vqa"
    assert {text for text, ask in zip(batch.answer, asked, strict=True) if not ask} == {""}
    assert all(text for text, ask in zip(batch.answer, asked, strict=True) if ask)


def test_validation_batches_speak_too(root):
    (batch, *_) = validation_batches(Mixture([(Dataset.open(root), 1.0)]), batch_size=4, chunk=1, answers="vqa")
    assert len(batch.answer) == 4 and all(text.isdigit() for text in batch.answer)


def test_episodes_without_texts_are_silent(tmp_path):
    some = record(tmp_path / "set", lambda seed, length: told(seed, length) if seed == 1 else {})
    data = Dataset.open(some)
    said = data.batch(np.arange(data.frames), 1, answers="subtask").answer
    assert said[:8] == ("",) * 8 and said[8:13] == told(1, 5)["subtask"] and said[13:] == ("",) * 11
    assert Dataset.open(record(tmp_path / "none", lambda seed, length: {})).answers == ()


def test_a_text_too_few_is_refused_and_nothing_stays(tmp_path):
    with Recorder(tmp_path / "set", contract=contract(), provenance=provenance()) as recorder:
        with pytest.raises(ShapeError, match=r"answers\.subtask"):
            recorder.record(replace(episode(0, length=8), answers={"subtask": ("a",) * 7}))
        recorder.record(replace(episode(0, length=8), answers=told(0, 8)))
    assert Dataset.open(tmp_path / "set").answers == ("subtask", "vqa")


def test_texts_of_an_episode_that_was_never_committed_are_removed(tmp_path):
    root = record(tmp_path / "set")
    left = path_of(root, 3)
    write_table(left, pa.table({"subtask": ["x"]}))
    with Recorder(root, contract=contract(), provenance=provenance(), video="lossless"):
        assert not left.exists() and path_of(root, 2).exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda table: table.slice(1), "7 texts for 8 frames"),
        (lambda table: table.set_column(0, "subtask", pa.array(range(8))), "not a column of texts"),
        (lambda table: table.set_column(0, "subtask", pa.array([None] * 8, pa.string())), "not a column of texts"),
    ],
)
def test_damaged_texts_are_named(tmp_path, damage, message):
    root = record(tmp_path / "set")
    write_table(path_of(root, 0), damage(read_table(path_of(root, 0))))
    with pytest.raises(CorruptFileError, match=message):
        _ = Dataset.open(root).answers
