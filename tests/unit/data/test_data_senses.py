"""Depth, points, touch and wrench through recording, statistics, reading, mixing and checking."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from data_fakes import contract, episode, provenance

from embodia.core.errors import ContractError, NotFiniteError, ShapeError
from embodia.core.specs import SenseSpec
from embodia.data.dataset import Dataset
from embodia.data.loader import Loader
from embodia.data.mixture import Mixture
from embodia.data.recorder import Recorder
from embodia.data.validate import validate

SENSES = (
    SenseSpec(name="depth", shape=(8, 10), units="m", camera="front"),
    SenseSpec(name="points", shape=(20, 6), units="m"),
    SenseSpec(name="touch", shape=(2, 3), units="N"),
    SenseSpec(name="wrench", shape=(6,), units="N"),
)


def feeling(senses=SENSES):
    plain = contract()
    return replace(plain, observation=replace(plain.observation, senses=senses))


def felt(seed, length=12, senses=SENSES, **changes):
    rng = np.random.default_rng(100 + seed)
    arrays = {sense.key: rng.normal(size=(length, *sense.shape)).astype(np.float32) for sense in senses}
    return episode(seed, length=length, senses=arrays | changes)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("felt")
    for name in ("first", "second"):
        with Recorder(folder / name, contract=feeling(), provenance=provenance()) as recorder:
            for seed in range(3):
                recorder.record(felt(seed + 10 * (name == "second"), length=7 + seed))
    return folder


def test_what_was_recorded_is_read_back_with_history(root):
    data = Dataset.open(root / "first")
    batch = data.batch(np.array([0, 5, 8]), chunk=4, history=2)
    episodes, positions = data.locate(np.array([0, 5, 8]))
    for row, (number, position) in enumerate(zip(episodes, positions, strict=True)):
        known = felt(number, length=7 + number).senses
        for sense in SENSES:
            got = batch.observation.sense(sense)[row]
            assert got.shape == (2, *sense.shape) and got.dtype == np.float32
            np.testing.assert_array_equal(got[1], known[sense.key][position])
            np.testing.assert_array_equal(got[0], known[sense.key][max(0, position - 1)])


def test_few_numbers_have_statistics_many_have_none(root):
    data = Dataset.open(root / "first")
    assert set(data.statistics) == {"state", "action", "touch", "wrench"}
    known = np.concatenate([felt(seed, length=7 + seed).senses["wrench"] for seed in range(3)])
    np.testing.assert_allclose(data.statistics["wrench"].mean, known.mean(0), rtol=1e-4)
    assert data.statistics["touch"].dim == 6
    with Recorder(root / "first", contract=feeling(), provenance=provenance()) as recorder:
        np.testing.assert_allclose(recorder._totals.statistics()["wrench"].mean, known.mean(0), rtol=1e-4)


def test_columns_are_flat_lists_of_fixed_length(root):
    schema = pq.read_schema(next((root / "first/data").rglob("*.parquet")))
    features = json.loads((root / "first/meta/info.json").read_text())["features"]
    for sense in SENSES:
        name = f"observation.{sense.key}"
        assert schema.field(name).type.list_size == sense.size
        assert features[name]["shape"] == [sense.size] and features[name]["dtype"] == "float32"
    assert features["observation.wrench"]["names"] == [f"wrench_{i}" for i in range(6)]
    assert features["observation.points"]["names"] is None


def test_a_mixture_joins_the_senses_of_its_sets(root):
    sets = [Dataset.open(root / name) for name in ("first", "second")]
    with Loader(Mixture([(item, 1.0) for item in sets]), batch_size=16, chunk=3, workers=0) as loader:
        batch, samples = next(loader), loader.samples(0)
    assert set(samples.source) == {0, 1}
    for row, (source, frame) in enumerate(zip(samples.source, samples.frame, strict=True)):
        alone = sets[source].batch(np.array([frame]), chunk=3).observation
        for sense in SENSES:
            np.testing.assert_array_equal(batch.observation.sense(sense)[row], alone.sense(sense)[0])


def test_a_sound_set_is_sound_and_a_set_without_senses_stays_as_it_was(root, tmp_path):
    assert validate(root / "first") == []
    with Recorder(tmp_path / "plain", contract=contract(), provenance=provenance()) as recorder:
        recorder.record(episode(0))
    seen = Dataset.open(tmp_path / "plain").batch(np.array([0]), chunk=2).observation
    assert seen.points is None and seen.touch is None and seen.depth == {}


def test_an_episode_that_does_not_fit_is_refused_and_named(tmp_path):
    with Recorder(tmp_path / "set", contract=feeling(), provenance=provenance()) as recorder:
        with pytest.raises(ShapeError, match="senses"):
            recorder.record(episode(0))
        with pytest.raises(ShapeError, match=r"senses\.wrench"):
            recorder.record(felt(0, wrench=np.zeros((12, 5), np.float32)))
        broken = np.zeros((12, 20, 6), np.float32)
        broken[3, 4, 5] = np.inf
        with pytest.raises(NotFiniteError, match=r"senses\.points"):
            recorder.record(felt(0, points=broken))
        assert recorder.record(felt(0)) == 0


def test_other_senses_cannot_join_a_set(root):
    with pytest.raises(ContractError, match="points"):
        Recorder(root / "first", contract=feeling(SENSES[:1]), provenance=provenance())
    with pytest.raises(ContractError, match="missing"):
        Recorder(
            root / "first", contract=feeling((*SENSES, SenseSpec(name="audio", shape=(9,)))), provenance=provenance()
        )


def test_a_set_without_a_sense_cannot_be_mixed_in(root, tmp_path):
    with Recorder(tmp_path / "plain", contract=contract(), provenance=provenance()) as recorder:
        recorder.record(episode(0))
    with pytest.raises(ContractError, match="depth"):
        Mixture([(Dataset.open(root / "first"), 1.0), (Dataset.open(tmp_path / "plain"), 1.0)])
