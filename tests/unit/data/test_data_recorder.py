"""Recording and reading back: numbers exact, pictures as decoded, resuming checked, failures leave nothing."""

import errno
import os

import numpy as np
import pytest
from data_fakes import SENTENCES, contract, episode, provenance

from embodia.core.errors import ContractError, CorruptFileError, NotFiniteError, ProfileError, ShapeError, StorageError
from embodia.data.dataset import Dataset
from embodia.data.recorder import Recorder
from embodia.io import atomic


def record(root, count=4, **changes):
    with Recorder(root, contract=contract(), provenance=provenance(), **changes) as recorder:
        for seed in range(count):
            assert recorder.record(episode(seed, length=8 + seed)) == seed
    return Dataset.open(root)


def test_numbers_come_back_exactly(tmp_path):
    data = record(tmp_path / "set")
    assert data.frames == 8 + 9 + 10 + 11
    assert data.contract == contract() and data.provenance == provenance()
    for seed, row in enumerate(data.episodes):
        given = episode(seed, length=8 + seed)
        np.testing.assert_array_equal(data.actions(seed), given.actions)
        np.testing.assert_array_equal(data.states(seed), given.state)
        assert (row.task, row.seed, row.instruction) == (given.task, seed, given.instruction)
        assert row.success and row.source == "expert"


def test_pictures_come_back_upright_and_near(tmp_path):
    data = record(tmp_path / "set", video="lossless")
    for seed in range(4):
        for camera in ("front", "wrist"):
            np.testing.assert_array_equal(data.images(seed, camera), episode(seed, length=8 + seed).frames[camera])


def test_statistics_equal_numpy_on_everything(tmp_path):
    data = record(tmp_path / "set")
    every = np.concatenate([episode(seed, length=8 + seed).actions for seed in range(4)]).astype(np.float64)
    found = data.statistics["action"]
    assert found.count == len(every)
    np.testing.assert_allclose(found.mean, every.mean(0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.std, every.std(0), rtol=1e-12)
    np.testing.assert_allclose(found.minimum, every.min(0))
    np.testing.assert_allclose(found.maximum, every.max(0))
    np.testing.assert_allclose(found.q01, np.quantile(every, 0.01, axis=0), rtol=1e-9)
    np.testing.assert_allclose(found.q99, np.quantile(every, 0.99, axis=0), rtol=1e-9)


def test_wrong_stored_statistics_are_not_believed(tmp_path):
    data = record(tmp_path / "set")
    path = tmp_path / "set/meta/stats.json"
    for text in (path.read_text().replace("mean", "nope"), "{}", "not json"):
        path.write_text(text)
        assert Dataset.open(tmp_path / "set").statistics["action"].mean == pytest.approx(data.statistics["action"].mean)


def test_resume_goes_on_where_it_stopped(tmp_path):
    record(tmp_path / "a", 4)
    with Recorder(tmp_path / "b", contract=contract(), provenance=provenance()) as recorder:
        recorder.record(episode(0, length=8))
    with Recorder(tmp_path / "b", contract=contract(), provenance=provenance()) as recorder:
        assert recorder.recorded == {("push", 0)}
        for seed in (1, 2, 3):
            recorder.record(episode(seed, length=8 + seed))
    for name in ("info.json", "stats.json", "tasks.parquet"):
        assert (tmp_path / "a/meta" / name).read_bytes() == (tmp_path / "b/meta" / name).read_bytes(), name


def test_resume_with_another_contract_or_profile_is_refused(tmp_path):
    record(tmp_path / "set", 1)
    with pytest.raises(ContractError):
        Recorder(tmp_path / "set", contract=contract(cameras=("front",)), provenance=provenance())
    with pytest.raises(ContractError):
        Recorder(tmp_path / "set", contract=contract(size=64), provenance=provenance())
    with pytest.raises(ProfileError):
        Recorder(tmp_path / "set", contract=contract(), provenance=provenance(profile="fast"))
    Recorder(tmp_path / "set", contract=contract(), provenance=provenance()).close()


def test_two_recorders_at_once_are_refused(tmp_path):
    first = Recorder(tmp_path / "set", contract=contract(), provenance=provenance())
    with pytest.raises(StorageError, match="another process"):
        Recorder(tmp_path / "set", contract=contract(), provenance=provenance())
    first.close()
    Recorder(tmp_path / "set", contract=contract(), provenance=provenance()).close()


def test_a_set_of_another_program_is_not_continued(tmp_path):
    record(tmp_path / "set", 1)
    (tmp_path / "set/meta/embodia.json").unlink()
    with pytest.raises(CorruptFileError, match="another program"):
        Recorder(tmp_path / "set", contract=contract(), provenance=provenance())


def bad_episodes():
    nan = episode().actions.copy()
    nan[3, 1] = np.nan
    state = episode().state.copy()
    state[0, 0] = np.inf
    yield "actions", NotFiniteError, {"actions": nan}
    yield "state", NotFiniteError, {"state": state}
    yield "actions", ShapeError, {"actions": episode().actions[:, :3]}
    yield "actions", ShapeError, {"actions": episode().actions.astype(int)}
    yield "actions", ShapeError, {"actions": episode().actions[:0]}
    yield "state", ShapeError, {"state": episode().state[:5]}
    yield "rewards", ShapeError, {"rewards": np.zeros((12, 1), np.float32)}
    yield "instruction", ShapeError, {"instruction": " "}
    yield "frames", ShapeError, {"frames": {"front": episode().frames["front"]}}
    yield "frames.front", ShapeError, {"frames": episode(size=64).frames}
    yield "frames.front", ShapeError, {"frames": episode(length=11).frames}
    yield "frames.front", ShapeError, {"frames": {k: v.astype(float) for k, v in episode().frames.items()}}


@pytest.mark.parametrize(("leaf", "kind", "changes"), list(bad_episodes()))
def test_a_bad_episode_names_the_leaf_and_leaves_nothing(tmp_path, leaf, kind, changes):
    with Recorder(tmp_path / "set", contract=contract(), provenance=provenance()) as recorder:
        recorder.record(episode(0))
        before = sorted(path for path in (tmp_path / "set").rglob("*") if path.is_file())
        with pytest.raises(kind) as caught:
            recorder.record(episode(**changes))
        assert caught.value.leaf == leaf and str(tmp_path / "set") in caught.value.file
        assert sorted(path for path in (tmp_path / "set").rglob("*") if path.is_file()) == before
        assert recorder.record(episode(1)) == 1
    assert len(Dataset.open(tmp_path / "set").episodes) == 2


def listing(root):
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and path.name != "tasks.parquet"}


@pytest.mark.parametrize("kind", ["ENOSPC", "EIO", "short"])
def test_a_disk_that_fails_at_any_write_loses_nothing(tmp_path, monkeypatch, kind):
    root = tmp_path / "set"
    recorder = Recorder(root, contract=contract(), provenance=provenance(), cache_bytes=0)
    recorder.record(episode(0))
    recorded, calls = 1, {"n": 0, "at": 0}

    def write(descriptor, data):
        calls["n"] += 1
        if calls["n"] == calls["at"] and kind == "short":
            return os.write(descriptor, data[: max(1, len(data) // 2)])
        if calls["n"] == calls["at"]:
            os.write(descriptor, data[: len(data) // 2])
            raise OSError(getattr(errno, kind), "injected")
        return os.write(descriptor, data)

    monkeypatch.setattr(atomic, "_write_some", write)
    refused = 0
    for at in range(1, 12):
        calls.update(n=0, at=at)
        before = listing(root)
        try:
            recorder.record(episode(at))
            recorded += 1
        except StorageError as error:
            assert str(root) in error.file
            assert listing(root) == before
            refused += 1
        assert len(Dataset.open(root).episodes) == recorded
    assert refused == (0 if kind == "short" else 7)
    calls["at"] = 0
    recorder.close()
    data = Dataset.open(root)
    data.batch(np.arange(data.frames), 4)


def test_paraphrases_are_kept_and_added(tmp_path):
    record(tmp_path / "set", 1, paraphrases={SENTENCES[0]: ("shove the puck",)})
    data = record(tmp_path / "set", 0, paraphrases={SENTENCES[1]: ("pull the drawer",)})
    assert data.paraphrases == {SENTENCES[0]: ("shove the puck",), SENTENCES[1]: ("pull the drawer",)}


def test_rewards_default_to_success_at_the_end():
    assert episode(length=3).filled_rewards.tolist() == [0, 0, 1]
    assert episode(length=3, success=False).filled_rewards.tolist() == [0, 0, 0]
    given = np.array([0.5, 0.25, 0], np.float32)
    assert episode(length=3, rewards=given).filled_rewards.tolist() == given.tolist()
