import json

import numpy as np
import pytest

pytest.importorskip("metaworld", reason="Meta-World is not installed")

from embodia.core.errors import ConfigError, EnvironmentFailure, StorageError, UnknownNameError
from embodia.data.dataset import Dataset
from embodia.envs import EnvConfig
from embodia.generate import experts
from embodia.generate.collect import ATTEMPTS, CollectConfig, _Collection, collect, in_order, read_settings
from embodia.generate.demonstrate import Attempt, EpisodeConfig

TASKS = ("coffee-button", "push@reach")
ENV = EnvConfig(cameras=("right",), height=16, width=16, tasks=TASKS, options={"marks": "neutral"})
CONFIG = CollectConfig(env=ENV, episodes=2, workers=2, episode=EpisodeConfig(limit=150, settle=1, images_every=20))

SHELVES = {}


class Shelf:
    """A recorder that keeps everything in memory and can be made to fail."""

    def __init__(self, root, *, contract, provenance, paraphrases):
        self.root, self.paraphrases, self.fail_at = str(root), paraphrases, None
        self.episodes = SHELVES.setdefault(self.root, [])

    @property
    def recorded(self):
        return frozenset((episode.task, episode.seed) for episode in self.episodes)

    def record(self, episode):
        if self.fail_at is not None and len(self.episodes) == self.fail_at:
            raise StorageError("full")
        self.episodes.append(episode)
        return len(self.episodes) - 1

    def close(self):
        pass


@pytest.mark.sim
def test_collects_resumes_and_does_not_depend_on_the_number_of_workers(tmp_path):
    told = []

    def stops(root, **given):
        shelf = Shelf(root, **given)
        shelf.fail_at = 3
        return shelf

    with pytest.raises(StorageError):
        collect(CONFIG, tmp_path / "a", open_recorder=stops)
    assert len(SHELVES[str(tmp_path / "a")]) == 3
    report = collect(CONFIG, tmp_path / "a", lambda *row: told.append(row), open_recorder=Shelf)
    assert report.kept == dict.fromkeys(TASKS, 2) and report.episodes == 4
    assert told[0][1:] == (3, 4) and told[-1][1:] == (4, 4)
    alone = CollectConfig(env=ENV, episodes=2, workers=1, episode=CONFIG.episode)
    collect(alone, tmp_path / "b", open_recorder=Shelf)
    first, second = (SHELVES[str(tmp_path / name)] for name in ("a", "b"))
    assert [(one.task, one.seed) for one in first] == [(one.task, one.seed) for one in second]
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one.actions, other.actions) and np.array_equal(one.frames["right"], other.frames["right"])
    lines = [json.loads(line) for line in (tmp_path / "a" / ATTEMPTS).read_text().splitlines()]
    assert [line["episode"] for line in lines if line["success"]] == [0, 1, 2, 3]
    assert collect(CONFIG, tmp_path / "a", open_recorder=Shelf).frames == 0


@pytest.mark.sim
def test_writes_a_data_set_that_opens(tmp_path):
    config = CollectConfig(
        env=EnvConfig(cameras=("right",), height=32, width=32, tasks=("coffee-button",)),
        episodes=1,
        workers=1,
        episode=EpisodeConfig(images_every=10),
    )
    report = collect(config, tmp_path / "set")
    data = Dataset.open(tmp_path / "set")
    assert read_settings(tmp_path / "set") == config
    assert data.frames == report.frames and data.provenance.environment == "metaworld"
    assert data.paraphrases["Press the button on the coffee machine."]
    more = CollectConfig(env=config.env, episodes=2, workers=1, episode=config.episode)
    assert collect(more, tmp_path / "set").kept == {"coffee-button": 2}
    with pytest.raises(ConfigError, match="another way"):
        collect(CollectConfig(env=config.env, episodes=2, workers=1), tmp_path / "set")


class Pretend:
    """A pool on paper: the second worker is always faster."""

    def __init__(self, workers=2):
        self.at = {}
        self.workers = workers

    @property
    def idle(self):
        return tuple(worker for worker in range(self.workers) if worker not in self.at)

    def send(self, worker, key, *, doing):
        self.at[worker] = key

    def receive(self):
        worker = max(self.at)
        task, seed = self.at.pop(worker)
        return [(worker, Attempt(task=task, seed=seed, steps=1, success=False, episode=None))]


def test_attempts_come_in_order_whoever_is_faster():
    todo = [("a", seed) for seed in range(7)]
    assert [attempt.seed for attempt in in_order(Pretend(), todo)] == list(range(7))


def make_collection(tmp_path, outcome, **settings):
    class Env:
        tasks = ("a", "b")

    class Empty:
        recorded = frozenset()

    collection = _Collection(CollectConfig(episodes=3, **settings), Env(), Empty(), tmp_path, None)
    collection._outcome.update(outcome)
    return collection


def test_a_wave_is_what_would_be_enough(tmp_path):
    collection = make_collection(tmp_path, {("a", 0): True, ("a", 1): False, ("b", 2): True})
    assert collection._wave() == [("a", 2), ("a", 3), ("b", 0), ("b", 1)]


def test_an_expert_that_keeps_failing_is_an_error(tmp_path):
    outcome = {("a", seed): False for seed in range(6)}
    with pytest.raises(EnvironmentFailure, match="of 6 attempts at . only 0 could be kept"):
        make_collection(tmp_path, outcome, tries=2.0)._wave()


def test_failures_are_remembered_and_the_data_set_decides_what_was_kept(tmp_path):
    (tmp_path / ATTEMPTS).write_text(
        '{"task": "a", "seed": 0, "success": false}\n{"task": "a", "seed": 1, "success": true}\n{"task": "b", "se'
    )
    collection = make_collection(tmp_path, {})
    assert collection._outcome == {("a", 0): False}


@pytest.mark.sim
def test_experts_by_name():
    with pytest.raises(UnknownNameError, match="push"):
        experts.make("metaworld", "pusch")
    with pytest.raises(UnknownNameError):
        experts.make("nowhere", "push")
    assert experts.make("metaworld", "push@reach")
