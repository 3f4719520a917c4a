"""Mixtures and loaders: complete epochs, exact shares, the same samples for every layout of ranks and any restart."""

import threading

import numpy as np
import pytest
from data_fakes import SENTENCES, contract, episode, provenance

from embodia.core.errors import ConfigError, ContractError, CorruptFileError
from embodia.data.dataset import Dataset
from embodia.data.loader import Loader, fetch, validation_batches
from embodia.data.mixture import Mixture
from embodia.data.recorder import Recorder


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    for name, count in (("small", 3), ("large", 6)):
        words = {SENTENCES[0]: ("shove it", "slide the puck")}
        with Recorder(folder / name, contract=contract(), provenance=provenance(), paraphrases=words) as recorder:
            for seed in range(count):
                recorder.record(episode(seed, length=7 + seed))
    return folder


@pytest.fixture
def mixture(root):
    return Mixture([(Dataset.open(root / "small"), 1.0), (Dataset.open(root / "large"), 3.0)])


def pairs(samples):
    return list(zip(samples.source.tolist(), samples.frame.tolist(), samples.choice.tolist(), strict=True))


def test_one_set_gives_every_frame_once_an_epoch(root):
    single = Mixture([(Dataset.open(root / "large"), 1.0)])
    size = single.datasets[0].frames
    for epoch in range(3):
        frames = single.samples(5, epoch * size, size).frame
        assert sorted(frames.tolist()) == list(range(size))


def test_shares_are_exact_and_each_set_is_walked_through(mixture):
    total, (small, large) = mixture.epoch_samples, mixture.datasets
    assert mixture.counts == (round(total / 4), total - round(total / 4))
    long = mixture.samples(5, 0, total * 40)
    share = (long.source == 0).mean()
    assert abs(share - mixture.counts[0] / total) < 1e-9
    for number, dataset in enumerate((small, large)):
        frames = long.frame[long.source == number]
        whole = len(frames) // dataset.frames
        for epoch in range(whole):
            part = frames[epoch * dataset.frames : (epoch + 1) * dataset.frames]
            # one walk through the set has each frame once, wherever the mixture's epochs end
            assert sorted(part.tolist()) == list(range(dataset.frames))


def test_any_window_of_the_stream_is_the_same(mixture):
    whole = pairs(mixture.samples(9, 0, 400))
    for start, count in ((0, 1), (13, 64), (99, 150), (399, 1)):
        assert pairs(mixture.samples(9, start, count)) == whole[start : start + count]


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
@pytest.mark.parametrize("start_step", [0, 1, 7])
def test_every_layout_of_ranks_sees_the_same_global_samples(mixture, world_size, start_step):
    batch = 12 // world_size
    loaders = [
        Loader(mixture, batch_size=batch, chunk=2, seed=3, rank=rank, world_size=world_size, workers=0)
        for rank in range(world_size)
    ]
    seen = [
        pair for step in range(start_step, start_step + 3) for loader in loaders for pair in pairs(loader.samples(step))
    ]
    assert seen == pairs(mixture.samples(3, start_step * 12, 36))


def equal(left, right):
    assert left.observation.instruction == right.observation.instruction and left.dataset == right.dataset
    for camera in left.observation.images:
        np.testing.assert_array_equal(left.observation.images[camera], right.observation.images[camera])
    for get in ("state", "time_s"):
        np.testing.assert_array_equal(getattr(left.observation, get), getattr(right.observation, get))
    np.testing.assert_array_equal(left.chunk.actions, right.chunk.actions)
    np.testing.assert_array_equal(left.chunk.valid, right.chunk.valid)


@pytest.mark.parametrize(("workers", "prefetch"), [(0, 2), (1, 1), (1, 4), (3, 5)])
def test_threads_and_restarts_change_nothing(mixture, workers, prefetch):
    plain = Loader(mixture, batch_size=5, chunk=3, history=2, seed=1, workers=0)
    expected = [next(plain) for _ in range(8)]
    with Loader(mixture, batch_size=5, chunk=3, history=2, seed=1, workers=workers, prefetch=prefetch) as loader:
        for batch in expected:
            equal(next(loader), batch)
    with Loader(mixture, batch_size=5, chunk=3, history=2, seed=1, start_step=6, workers=workers) as loader:
        equal(next(loader), expected[6])
        equal(next(loader), expected[7])


def test_close_ends_the_threads(mixture):
    before = threading.active_count()
    loader = Loader(mixture, batch_size=4, chunk=2, workers=3)
    next(loader)
    loader.close()
    assert threading.active_count() == before


def test_a_mixed_batch_keeps_the_order_of_samples(mixture):
    samples = mixture.samples(2, 0, 30)
    joined = fetch(mixture, samples, chunk=2, history=2, later=(1, 3))
    assert set(samples.source.tolist()) == {0, 1}
    for place in range(30):
        dataset = mixture.datasets[samples.source[place]]
        alone = dataset.batch(samples.frame[place : place + 1], 2, 2, None, samples.choice[place : place + 1])
        assert joined.dataset[place] == dataset.name
        assert joined.observation.instruction[place] == alone.observation.instruction[0]
        np.testing.assert_array_equal(joined.observation.images["front"][place], alone.observation.images["front"][0])
        np.testing.assert_array_equal(joined.observation.masks["history"][place], alone.observation.masks["history"][0])
        np.testing.assert_array_equal(joined.chunk.actions[place], alone.chunk.actions[0])
        to_come = dataset.batch(samples.frame[place : place + 1], 1, later=(1, 3)).later
        np.testing.assert_array_equal(joined.later.images["front"][place], to_come.images["front"][0])
        np.testing.assert_array_equal(joined.later.state[place], to_come.state[0])


def test_sentences_vary_only_when_asked(mixture):
    known = {SENTENCES[0], "shove it", "slide the puck", SENTENCES[1]}
    varied = Loader(mixture, batch_size=200, chunk=1, workers=0).fetch(0).observation.instruction
    assert set(varied) == known
    plain = Loader(mixture, batch_size=200, chunk=1, workers=0, paraphrases=False).fetch(0).observation.instruction
    assert set(plain) == set(SENTENCES)


def test_describe_names_set_episode_and_frame(mixture):
    loader = Loader(mixture, batch_size=3, chunk=1, seed=4, workers=0)
    words = loader.describe(2)
    samples = loader.samples(2)
    assert len(words.split("; ")) == 3
    for source, frame in zip(samples.source, samples.frame, strict=True):
        dataset = mixture.datasets[source]
        number, position = dataset.locate(np.array([frame]))
        assert f"{dataset.name}: episode {number[0]} frame {position[0]}" in words


def test_split_holds_out_whole_episodes(mixture):
    train, held = mixture.split(seed=2, fraction=0.3)
    for part, other in zip(train.datasets, held.datasets, strict=True):
        numbers = {row.index for row in part.episodes}
        assert numbers.isdisjoint(row.index for row in other.episodes)
        batch = part.batch(np.arange(part.frames), 1)
        firsts = {part.actions(number).tobytes() for number in numbers}
        assert b"".join(sorted(firsts)) and len(batch.chunk.actions) == sum(row.length for row in part.episodes)
    assert mixture.split(seed=2, fraction=0.0)[1] is None


def test_validation_is_always_the_same_and_split_over_ranks(mixture):
    one = [batch for batch in validation_batches(mixture, batch_size=8, chunk=2, samples=40)]
    again = [batch for batch in validation_batches(mixture, batch_size=8, chunk=2, samples=40)]
    assert len(one) == 5 and sum(len(batch.dataset) for batch in one) == 40
    for a, b in zip(one, again, strict=True):
        equal(a, b)
    two = [list(validation_batches(mixture, batch_size=4, chunk=2, samples=40, rank=r, world_size=2)) for r in (0, 1)]
    assert len(two[0]) == len(two[1]) == 5
    np.testing.assert_array_equal(
        np.concatenate([two[0][0].chunk.actions, two[1][0].chunk.actions]), one[0].chunk.actions
    )
    assert {name for batch in one for name in batch.dataset} == {"small", "large"}


def test_errors_of_fetching_come_out_of_next(root):
    dataset = Dataset.open(root / "large", cache_bytes=0)
    mixture = Mixture([(dataset, 1.0)])
    path = next((root / "large/videos").rglob("*.mp4"))
    good = path.read_bytes()
    path.write_bytes(good[:100])
    folder = root / "large/.frames"
    folder.rename(root / "large/.away")
    try:
        with Loader(mixture, batch_size=63, chunk=1, workers=1) as loader, pytest.raises(CorruptFileError, match="mp4"):
            for _ in range(3):
                next(loader)
    finally:
        path.write_bytes(good)
        (root / "large/.away").rename(folder)


def test_wrong_mixtures_and_loaders_are_refused(root, tmp_path, mixture):
    dataset = Dataset.open(root / "small")
    for parts in ([], [(dataset, 0.0)], [(dataset, -1.0)], [(dataset.select([]), 1.0)]):
        with pytest.raises(ConfigError):
            Mixture(parts)
    with Recorder(tmp_path / "other", contract=contract(size=64), provenance=provenance()) as recorder:
        recorder.record(episode(size=64))
    with pytest.raises(ContractError, match="small"):
        Mixture([(dataset, 1.0), (Dataset.open(tmp_path / "other"), 1.0)])
    for changes in ({"rank": 2, "world_size": 2}, {"batch_size": 0}, {"start_step": -1}):
        with pytest.raises(ConfigError):
            Loader(mixture, **({"batch_size": 1, "chunk": 1} | changes))


def test_merged_statistics_equal_numpy(mixture):
    every = np.concatenate([d.actions(row.index) for d in mixture.datasets for row in d.episodes]).astype(np.float64)
    found = mixture.statistics["action"]
    assert found.count == len(every)
    np.testing.assert_allclose(found.mean, every.mean(0), atol=1e-12)
    np.testing.assert_allclose(found.std, every.std(0), atol=1e-12)
    np.testing.assert_allclose(found.minimum, every.min(0))
