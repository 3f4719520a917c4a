import os
import signal

import numpy as np
import pytest

pytest.importorskip("metaworld", reason="Meta-World is not installed")

from embodia import envs
from embodia.core.errors import ConfigError, UnknownNameError, WorkerError
from embodia.core.types import ActionChunk
from embodia.envs import EnvConfig
from embodia.envs.rollout import EpisodePlan, rollout
from embodia.envs.slot import Start
from embodia.envs.vector import VectorEnv

pytestmark = pytest.mark.sim
CONFIG = EnvConfig(cameras=("right",), height=32, width=32, horizon=24, options={"marks": "neutral"})


@pytest.fixture(scope="module")
def vector():
    with VectorEnv("metaworld", CONFIG, slots=3, workers=2, history=2) as made:
        yield made


class Noise:
    def __init__(self, contract):
        self.contract = contract

    def act(self, observation, carry, rng):
        rows = observation.batch_size
        bias = np.array([image.mean() / 255 for image in observation.images["right"]])[:, None, None]
        actions = rng.uniform(-1, 1, (rows, 8, 4)) + bias
        return ActionChunk(actions=actions, valid=np.ones((rows, 8), bool), spec=self.contract.action), carry


def test_a_chunk_in_a_slot_equals_the_environment_itself(vector):
    actions = np.random.default_rng(0).uniform(-1, 1, (6, 4)).astype(np.float32)
    vector.begin({0: Start(task="push", seed=3), 2: Start(task="reach", seed=4)})
    took = vector.run_chunk(2, actions)
    env = envs.make("metaworld", CONFIG)
    env.reset("reach", 4)
    states, pictures = [], []
    for action in actions:
        states.append(env.step(action)[0].state[0, 0])
        pictures.append(env.observe().images["right"][0, 0])
    env.close()
    seen = vector.observation(2)
    assert took.steps == 6 and np.array_equal(seen.state[0], np.stack(states[-2:]))
    assert np.array_equal(seen.images["right"][0], np.stack(pictures[-2:]))
    assert seen.instruction == vector.instructions("reach")


def test_rollouts_repeat_whatever_the_number_of_workers(vector):
    plans = [EpisodePlan(task=task, seed=seed) for task in ("push", "faucet-open") for seed in range(2)]
    policy = Noise(vector.contract)

    def play(where):
        found = rollout(policy, where, plans, execute=6, seed=1, make_rng=np.random.default_rng)
        return [(one.success, one.steps, one.reward, one.judged) for one in found]

    first = play(vector)
    assert play(vector) == first
    with VectorEnv("metaworld", CONFIG, slots=3, workers=1, history=2) as alone:
        assert play(alone) == first


def test_errors_name_the_cause(vector):
    with pytest.raises(UnknownNameError, match="push"):
        vector.begin({0: Start(task="pusch", seed=0)})
    with pytest.raises(ConfigError, match="slot 3"):
        vector.begin({3: Start(task="push", seed=0)})
    with pytest.raises(ConfigError):
        VectorEnv("metaworld", CONFIG, slots=0)
    with pytest.raises(UnknownNameError):
        VectorEnv("metawurld", CONFIG)


def test_a_dead_worker_is_an_error_that_names_it():
    with VectorEnv("metaworld", CONFIG, slots=2, workers=2) as vector:
        vector.begin({0: Start(task="push", seed=0)})
        os.kill(vector.pids[1], signal.SIGKILL)
        with pytest.raises(WorkerError, match="metaworld environment 1"):
            vector.begin({1: Start(task="push", seed=0)})
