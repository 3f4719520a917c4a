"""Senses end to end on Desk: demonstrated, recorded, read as a batch, handed to a policy, sent over a wire."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo is not installed")

from embodia import envs
from embodia.core.types import ActionChunk
from embodia.data.dataset import Dataset
from embodia.data.recorder import Recorder
from embodia.envs import EnvConfig
from embodia.envs.rollout import EpisodePlan, rollout
from embodia.envs.slot import Start
from embodia.envs.vector import VectorEnv
from embodia.generate import experts
from embodia.generate.demonstrate import EpisodeConfig, demonstrate
from embodia.runtime.policy.keys import decode, encode, openpi_keys

CONFIG = EnvConfig(
    cameras=("front", "wrist"),
    height=32,
    width=32,
    options={"senses": "rgb,depth,points,touch,wrench"},
    success_ends=False,
)
TASK = "reach/red-cube"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    env = envs.make("desk", CONFIG)
    root = tmp_path_factory.mktemp("desk") / "set"
    with Recorder(root, contract=env.contract, provenance=env.provenance) as recorder:
        attempt = demonstrate(env, experts.make("desk", TASK), TASK, 0, EpisodeConfig(limit=200, images_every=2))
        assert attempt.episode is not None
        recorder.record(attempt.episode)
    env.close()
    return Dataset.open(root)


class Watcher:
    """Stands still and keeps what it is shown."""

    def __init__(self, contract):
        self.contract = replace(contract, action=replace(contract.action, chunk=3))
        self.seen = []

    def act(self, observation, carry, rng):
        self.seen.append(observation)
        shape = (observation.batch_size, 3, self.contract.action.dim)
        return ActionChunk(
            actions=np.zeros(shape, np.float32), valid=np.ones(shape[:2], bool), spec=self.contract.action
        ), None


def test_the_first_frame_is_what_the_simulator_shows(data):
    env = envs.make("desk", CONFIG)
    env.reset(TASK, 0)
    seen, batch = env.observe(), data.batch(np.array([0, 2]), chunk=4).observation
    for sense in env.contract.observation.senses:
        np.testing.assert_allclose(batch.sense(sense)[0], seen.sense(sense)[0], atol=1e-6)
    assert not np.array_equal(batch.points[0], batch.points[1])
    between = data.batch(np.array([2, 3]), chunk=1).observation
    np.testing.assert_array_equal(between.points[0], between.points[1])
    env.close()


def test_a_slot_shows_every_sense_as_the_data_had_it(data):
    motion = np.zeros((3, data.contract.action.dim), np.float32)
    motion[:, 2] = 1.0
    with VectorEnv("desk", CONFIG, slots=1, workers=1, history=2) as vector:
        vector.begin({0: Start(task=TASK, seed=0)})
        first = vector.observation(0)
        vector.run_chunk(0, motion)
        second = vector.observation(0)
    learned = data.batch(np.array([0]), chunk=1, history=2).observation
    for sense in data.contract.observation.senses:
        assert first.sense(sense).shape == (1, 2, *sense.shape)
        np.testing.assert_allclose(first.sense(sense), learned.sense(sense), atol=1e-6)
        assert second.sense(sense).shape == first.sense(sense).shape
    assert first.points is not None and not np.array_equal(first.points[:, 1], second.points[:, 1])


def test_a_rollout_stacks_the_senses_of_its_slots(data):
    watcher = Watcher(data.contract)
    config = replace(CONFIG, horizon=6)
    with VectorEnv("desk", config, slots=2, workers=1) as vector:
        rollout(watcher, vector, [EpisodePlan(task=TASK, seed=seed) for seed in (0, 1)], execute=3)
    assert len(watcher.seen) == 2
    for sense in data.contract.observation.senses:
        assert watcher.seen[0].sense(sense).shape == (2, 1, *sense.shape)
    assert not np.array_equal(watcher.seen[0].points[0], watcher.seen[0].points[1])


def test_senses_cross_the_wire_unchanged(data):
    seen = data.batch(np.array([1]), chunk=1, history=2).observation
    spec = data.contract.observation
    message = encode(seen, 0, openpi_keys(spec), spec, history=2)
    found = decode(message, openpi_keys(spec), data.contract)
    for sense in spec.senses:
        np.testing.assert_array_equal(found.sense(sense), seen.sense(sense))
