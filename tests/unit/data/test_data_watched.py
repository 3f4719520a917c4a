"""Sets of somebody who was only watched: videos and sentences, no column of actions, and nothing that pretends one."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from data_fakes import contract, episode, provenance

from embodia.core.errors import ContractError, ShapeError
from embodia.data import layout
from embodia.data.dataset import Dataset
from embodia.data.mixture import Mixture
from embodia.data.recorder import Recorder
from embodia.data.validate import validate

FULL = contract()
WATCHED = replace(
    FULL, observation=replace(FULL.observation, state=()), action=replace(FULL.action, recorded=False)
).of_data


def watched(seed):
    plain = episode(seed)
    return replace(plain, state=plain.state[:, :0], actions=plain.actions[:, :0])


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("watched")
    with Recorder(root, contract=WATCHED, provenance=provenance()) as recorder:
        for seed in range(3):
            recorder.record(watched(seed))
    return root


def test_there_is_no_column_and_no_feature_of_actions_or_state(root):
    features = json.loads((root / layout.INFO).read_text())["features"]
    assert layout.ACTION not in features and layout.STATE not in features
    for table in (root / "data").rglob("*.parquet"):
        assert not {layout.ACTION, layout.STATE} & set(pq.read_schema(table).names)
    assert layout.ACTION not in json.loads((root / layout.STATS).read_text())


def test_it_is_sound(root):
    assert validate(root, decode=True) == []


def test_it_opens_and_its_pictures_are_those_that_were_recorded(root):
    dataset = Dataset.open(root)
    assert dataset.contract == WATCHED and not dataset.contract.action.recorded
    assert dataset.statistics == {}
    for number in range(3):
        shown = dataset.images(number, "front").astype(float)
        assert np.abs(shown - episode(number).frames["front"]).mean() < 6
        assert dataset.actions(number).shape == (12, 0) and dataset.states(number).shape == (12, 0)


def test_its_batches_hold_pictures_and_sentences_and_empty_actions(root):
    batch = Dataset.open(root).batch(np.arange(4), chunk=5, history=2)
    assert batch.observation.images["front"].shape == (4, 2, 32, 32, 3)
    assert batch.observation.state.shape == (4, 2, 0)
    assert batch.chunk.actions.shape == (4, 5, 0) and batch.chunk.valid.shape == (4, 5)


def test_recording_goes_on_and_actions_are_refused(root, tmp_path):
    for part in range(2):
        with Recorder(tmp_path, contract=WATCHED, provenance=provenance()) as recorder:
            recorder.record(watched(part))
            with pytest.raises(ShapeError, match="actions"):
                recorder.record(replace(watched(5), actions=episode(5).actions))
    assert len(Dataset.open(tmp_path).episodes) == 2


def test_two_equal_videos_are_found_and_two_different_ones_are_not_alike(tmp_path):
    with Recorder(tmp_path, contract=WATCHED, provenance=provenance()) as recorder:
        for seed, number in ((0, 0), (1, 1), (0, 2)):
            recorder.record(replace(watched(seed), seed=number))
    found = validate(tmp_path)
    assert [finding.kind for finding in found] == ["duplicate"]
    assert "episode 2 has the same frames as episode 0" in found[0].message


def test_it_cannot_be_mixed_with_a_set_that_has_actions(root, tmp_path):
    with Recorder(tmp_path, contract=FULL, provenance=provenance()) as recorder:
        recorder.record(episode(0))
    with pytest.raises(ContractError):
        Mixture([(Dataset.open(root), 1.0), (Dataset.open(tmp_path), 1.0)])


def test_a_policy_cannot_be_trained_on_it(root):
    pytest.importorskip("torch")
    from embodia.policies import PolicySpec, act
    from embodia.training.config import TrainConfig
    from embodia.training.sources import from_mixture

    spec = PolicySpec(name="act", size="tiny", contract=FULL, config=act.preset("tiny"))
    with pytest.raises(ContractError, match="no actions to imitate"):
        from_mixture(TrainConfig(steps=1), spec, Mixture([(Dataset.open(root), 1.0)]))
