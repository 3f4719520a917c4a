"""Batches against a direct reading of the episodes; the cache; typed errors for damaged sets."""

import json

import numpy as np
import pyarrow as pa
import pytest
from data_fakes import contract, episode, provenance

from embodia.core.errors import (
    ConfigError,
    ContractError,
    CorruptFileError,
    EmbodiaError,
    MissingFileError,
    NotFiniteError,
    ShapeError,
    UnknownNameError,
    VersionError,
)
from embodia.data.dataset import Dataset
from embodia.data.recorder import Recorder
from embodia.io.table import read_table, write_table

LENGTHS = (8, 5, 11)


@pytest.fixture
def root(tmp_path):
    with Recorder(tmp_path / "set", contract=contract(), provenance=provenance(), video="lossless") as recorder:
        for seed, length in enumerate(LENGTHS):
            recorder.record(episode(seed, length=length))
    return tmp_path / "set"


def test_a_batch_equals_a_direct_reading(root):
    data = Dataset.open(root)
    ids = np.arange(data.frames)[::-1]
    chunk, history = 4, 3
    batch = data.batch(ids, chunk, history)
    for place, frame in enumerate(ids):
        number = int(np.searchsorted(np.cumsum(LENGTHS), frame, side="right"))
        at = frame - sum(LENGTHS[:number])
        given = episode(number, length=LENGTHS[number])
        for t in range(history):
            moment = at - (history - 1) + t
            assert batch.observation.masks["history"][place, t] == (moment >= 0)
            np.testing.assert_array_equal(batch.observation.state[place, t], given.state[max(0, moment)])
            for camera, frames in given.frames.items():
                np.testing.assert_array_equal(batch.observation.images[camera][place, t], frames[max(0, moment)])
            assert batch.observation.time_s[place, t] == pytest.approx(max(0, moment) / 20)
        for h in range(chunk):
            assert batch.chunk.valid[place, h] == (at + h < LENGTHS[number])
            expected = given.actions[min(at + h, LENGTHS[number] - 1)]
            np.testing.assert_array_equal(batch.chunk.actions[place, h], expected)
        assert batch.observation.instruction[place] == given.instruction
    assert batch.chunk.spec.chunk == chunk and batch.observation.embodiment == "fake_arm"


def test_shapes_and_types(root):
    batch = Dataset.open(root).batch(np.array([0, 23]), 5, cameras=["wrist"])
    assert set(batch.observation.images) == {"wrist"}
    image = batch.observation.images["wrist"]
    assert image.shape == (2, 1, 32, 32, 3) and image.dtype == np.uint8
    assert batch.observation.state.shape == (2, 1, 4) and batch.observation.state.dtype == np.float32
    assert batch.chunk.actions.shape == (2, 5, 4) and batch.chunk.actions.dtype == np.float32
    assert batch.chunk.valid.dtype == bool and batch.observation.masks == {}
    assert Dataset.open(root).batch(np.empty(0, np.int64), 5).chunk.actions.shape == (0, 5, 4)


def test_recorded_cache_first_use_and_no_cache_agree(root):
    ids = np.array([3, 20, 3, 9])
    recorded = Dataset.open(root).batch(ids, 2, 2)
    (root / ".frames").rename(root / ".away")
    uncached = Dataset.open(root, cache_bytes=0).batch(ids, 2, 2)
    assert not (root / ".frames").exists()
    first_use = Dataset.open(root).batch(ids, 2, 2)
    assert len(list((root / ".frames").rglob("*.u8"))) == 6
    for camera in ("front", "wrist"):
        for other in (uncached, first_use):
            np.testing.assert_array_equal(other.observation.images[camera], recorded.observation.images[camera])


def test_the_cache_keeps_its_budget(root):
    (root / ".frames").rename(root / ".away")
    one = 8 * 32 * 32 * 3 + 20
    data = Dataset.open(root, cache_bytes=2 * one)
    data.batch(np.arange(data.frames), 1)
    used = sum(path.stat().st_size for path in (root / ".frames").rglob("*.u8"))
    assert 0 < used <= 2 * one


def test_a_damaged_or_foreign_cache_file_is_never_read(root):
    expected = Dataset.open(root).batch(np.arange(24), 1).observation.images["front"].copy()
    paths = sorted((root / ".frames").rglob("*.u8"))
    sizes = {path.stat().st_size: path for path in paths}
    paths[0].write_bytes(paths[0].read_bytes()[:-1])
    paths[1].write_bytes(b"\0" * paths[1].stat().st_size)
    paths[2].write_bytes(b"")
    assert len(sizes) >= 2
    np.testing.assert_array_equal(Dataset.open(root).batch(np.arange(24), 1).observation.images["front"], expected)


def test_recording_again_at_the_same_place_never_shows_old_pictures(root, tmp_path):
    cache = root / ".frames"
    cache.rename(tmp_path / "kept")
    import shutil

    shutil.rmtree(root)
    with Recorder(root, contract=contract(), provenance=provenance(), video="lossless", cache_bytes=0) as recorder:
        for seed, length in enumerate(LENGTHS):
            recorder.record(episode(seed + 50, length=length))
    (tmp_path / "kept").rename(cache)
    data = Dataset.open(root)
    np.testing.assert_array_equal(data.images(0, "front"), episode(50, length=8).frames["front"])


def test_opening_touches_no_video(root):
    for path in (root / "videos").rglob("*"):
        if path.is_file():
            path.unlink()
    assert Dataset.open(root).frames == 24


def test_selection_numbers_frames_anew(root):
    data = Dataset.open(root)
    part = data.select([2, 0])
    assert [row.index for row in part.episodes] == [0, 2] and part.frames == 19
    np.testing.assert_array_equal(part.batch(np.array([8]), 1).chunk.actions[0, 0], data.actions(2)[0])
    assert part.statistics == data.statistics
    with pytest.raises(ShapeError):
        part.batch(np.array([19]), 1)
    assert data.frames == 24


def test_thinned_sets_keep_drawn_frames_and_count_chunks_in_steps(root):
    data = Dataset.open(root).thin(4)
    assert data.frames == 2 + 2 + 3
    batch = data.batch(np.arange(data.frames), 2)
    starts = [0, 4, 0, 4, 0, 4, 8]
    for place, (number, at) in enumerate(zip([0, 0, 1, 1, 2, 2, 2], starts, strict=True)):
        np.testing.assert_array_equal(batch.chunk.actions[place, 0], data.actions(number)[at])
        np.testing.assert_array_equal(
            batch.chunk.actions[place, 1], data.actions(number)[min(at + 1, LENGTHS[number] - 1)]
        )
    assert data.select([1]).frames == 2
    with pytest.raises(ConfigError):
        data.thin(0)


def test_states_ahead_stop_at_the_end_of_the_episode(root):
    data = Dataset.open(root)
    batch = data.batch(np.array([1, 9]), 1, ahead=(0, 2, 10**6))
    np.testing.assert_array_equal(batch.ahead[0], data.states(0)[[1, 3, 7]])
    np.testing.assert_array_equal(batch.ahead[1], data.states(1)[[1, 3, 4]])
    assert data.batch(np.array([1]), 1).ahead is None


def test_sights_to_come_stop_at_the_end_of_the_episode(root):
    data = Dataset.open(root)
    batch = data.batch(np.array([1, 9]), 1, cameras=["wrist"], later=(2, 10**6))
    np.testing.assert_array_equal(batch.later.images["wrist"][0], data.images(0, "wrist")[[3, 7]])
    np.testing.assert_array_equal(batch.later.state[1], data.states(1)[[3, 4]])
    assert set(batch.later.images) == {"wrist"} and batch.later.instruction == ()
    assert data.batch(np.array([1]), 1).later is None


def test_chunks_alone_are_those_of_a_batch(root):
    data = Dataset.open(root)
    ids = np.array([0, 6, 20])
    alone, whole = data.chunks(ids, 5), data.batch(ids, 5).chunk
    np.testing.assert_array_equal(alone.actions, whole.actions)
    np.testing.assert_array_equal(alone.valid, whole.valid)


def test_wrong_questions(root):
    data = Dataset.open(root)
    with pytest.raises(ShapeError):
        data.batch(np.array([24]), 1)
    with pytest.raises(ShapeError):
        data.actions(3)
    with pytest.raises(UnknownNameError, match="'wrist'"):
        data.batch(np.array([0]), 1, cameras=["wrst"])
    with pytest.raises(ConfigError):
        data.batch(np.array([0]), 0)


def table_of(root):
    return root / "data/chunk-000/file-001.parquet"


def change(root, column, values):
    table = read_table(table_of(root))
    place = table.column_names.index(column)
    write_table(table_of(root), table.set_column(place, column, values))


def vectors(values):
    return pa.FixedSizeListArray.from_arrays(pa.array(values.astype(np.float32).ravel()), values.shape[1])


def damage_nan(root):
    values = episode(1, length=5).actions.copy()
    values[2, 3] = np.nan
    change(root, "action", vectors(values))


def damage_dimension(root):
    change(root, "action", vectors(np.zeros((5, 3))))


def damage_missing_column(root):
    write_table(table_of(root), read_table(table_of(root)).drop_columns(["action"]))


def damage_cut(root):
    table_of(root).write_bytes(table_of(root).read_bytes()[:-30])


def damage_short(root):
    write_table(table_of(root), read_table(table_of(root)).slice(0, 4))


def damage_swapped(root):
    other = root / "data/chunk-000/file-002.parquet"
    a, b = table_of(root).read_bytes(), other.read_bytes()
    table_of(root).write_bytes(b)
    other.write_bytes(a)


def damage_gap(root):
    (root / "meta/episodes/chunk-000/file-001.parquet").unlink()


def damage_row(root):
    path = root / "meta/episodes/chunk-000/file-001.parquet"
    write_table(path, read_table(path).drop_columns(["length"]))


def damage_version(root):
    path = root / "meta/embodia.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))


def damage_contract(root):
    path = root / "meta/embodia.json"
    plain = json.loads(path.read_text())
    plain["contract"]["action"]["rate"] = 3
    path.write_text(json.dumps(plain))


@pytest.mark.parametrize(
    ("damage", "kind", "file", "leaf"),
    [
        (damage_nan, NotFiniteError, "data/chunk-000/file-001.parquet", "action"),
        (damage_dimension, ShapeError, "data/chunk-000/file-001.parquet", "action"),
        (damage_missing_column, CorruptFileError, "data/chunk-000/file-001.parquet", "action"),
        (damage_cut, CorruptFileError, "data/chunk-000/file-001.parquet", None),
        (damage_short, CorruptFileError, "data/chunk-000/file-001.parquet", "index"),
        (damage_swapped, CorruptFileError, "data/chunk-000/file-001.parquet", "index"),
        (damage_gap, CorruptFileError, "meta/episodes", "episode_index"),
        (damage_row, CorruptFileError, "meta/episodes/chunk-000/file-001.parquet", "'length'"),
        (damage_version, VersionError, "meta/embodia.json", "format"),
        (damage_contract, EmbodiaError, "meta/embodia.json", "contract.action"),
        (lambda root: table_of(root).unlink(), MissingFileError, "data/chunk-000/file-001.parquet", None),
    ],
)
def test_a_damaged_set_names_file_and_leaf(root, damage, kind, file, leaf):
    damage(root)
    with pytest.raises(kind) as caught:
        Dataset.open(root)
    assert caught.value.file == str(root / file)
    assert caught.value.leaf == leaf


@pytest.mark.parametrize("how", ["missing", "cut", "other"])
def test_a_damaged_video_names_the_file(root, how):
    (root / ".frames").rename(root / ".away")
    path = root / "videos/observation.images.wrist/chunk-000/file-001.mp4"
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:600])
    else:
        path.write_bytes((root / "videos/observation.images.wrist/chunk-000/file-000.mp4").read_bytes()[:-1] + b"x")
    data = Dataset.open(root, cache_bytes=0)
    if how == "other":
        data.batch(np.array([8]), 1)
        return
    with pytest.raises((MissingFileError, CorruptFileError)) as caught:
        data.batch(np.array([8]), 1)
    assert caught.value.file == str(path)


def test_no_such_set(tmp_path):
    with pytest.raises(MissingFileError):
        Dataset.open(tmp_path / "nothing")


def test_a_foreign_set_needs_a_contract(root):
    (root / "meta/embodia.json").unlink()
    with pytest.raises(ContractError, match="contract_of"):
        Dataset.open(root)
    data = Dataset.open(root, contract=contract())
    assert data.frames == 24 and data.provenance.environment == "unknown"
