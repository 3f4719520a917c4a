"""A tiny learnable world held in memory: contract, samples with a known rule, factories around the real ACT."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from embodia.core.provenance import Provenance
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.statistics import FeatureStatistics
from embodia.core.types import ActionChunk, Batch, Observation
from embodia.data.dataset import Dataset
from embodia.data.episode import EpisodeData
from embodia.data.recorder import Recorder
from embodia.parts.encoders.conv_stem import ConvStemConfig
from embodia.policies import PolicySpec, make
from embodia.policies.act import Config
from embodia.training.checkpoint import Card
from embodia.training.config import TrainConfig
from embodia.training.factories import Factories
from embodia.training.start import begin

SIZE, PIXELS, STATE, ACTION, CHUNK = 96, 16, 3, 2, 4

LOW_RANK = {"lora": ("backbone", "decoder"), "lora_rank": 2, "lora_alpha": 4.0}

CONTRACT = Contract(
    observation=ObservationSpec(
        cameras=(CameraSpec(name="front", height=PIXELS, width=PIXELS),),
        state=(StatePart(name="joints", dim=STATE),),
        rate_hz=10.0,
        language=False,
    ),
    action=ActionSpec(parts=(ActionPart(name="joints", dim=ACTION, representation="joint_delta"),), rate_hz=10.0),
    embodiment="toy",
)
PROVENANCE = Provenance(environment="toy", profile="faithful", cameras=("front",), versions={"toy": "1.0"})


def statistics(dim):
    one = (1.0,) * dim
    zero = (0.0,) * dim
    low = (-1.0,) * dim
    return FeatureStatistics(count=SIZE, mean=zero, std=one, minimum=low, maximum=one, q01=low, q99=one)


STATISTICS = {"state": statistics(STATE), "action": statistics(ACTION)}


def spec(dropout=0.1, width=16, latent=True):
    config = Config(
        chunk=CHUNK,
        vision=ConvStemConfig(widths=(8, 16), group_width=8),
        width=width,
        heads=2,
        hidden=32,
        encoder_layers=1,
        decoder_layers=1,
        posterior_layers=int(latent),
        latent=4,
        dropout=dropout,
        pre_norm=True,
        camera_embedding=True,
    )
    return PolicySpec(name="act", size="tiny", contract=CONTRACT, config=config)


def samples(seed=0, size=SIZE):
    """Images, states and chunks; the action is a fixed linear map of the state, so that a policy can learn it."""
    rng = np.random.default_rng(seed)
    state = rng.uniform(-1, 1, (size, 1, STATE)).astype(np.float32)
    image = rng.integers(0, 256, (size, 1, PIXELS, PIXELS, 3), dtype=np.uint8)
    weights = np.random.default_rng(7).normal(size=(STATE, ACTION)).astype(np.float32)
    actions = np.repeat(np.tanh(state @ weights), CHUNK, axis=1)
    return image, state, actions


def sample_ids(index, batch, seed=0, size=SIZE):
    """Ids of batch `index`: consecutive positions in an endless row of shuffled epochs."""
    places = np.arange(index * batch, (index + 1) * batch)
    orders = {e: np.random.default_rng([seed, e]).permutation(size) for e in np.unique(places // size)}
    return np.array([orders[p // size][p % size] for p in places])


def batch_of(ids, data):
    image, state, actions = data
    observation = Observation(images={"front": image[ids]}, state=state[ids], instruction=("",) * len(ids))
    chunk = ActionChunk(actions=actions[ids], valid=np.ones((len(ids), CHUNK), bool), spec=CONTRACT.action)
    return Batch(observation=observation, chunk=replace(chunk), dataset=("toy",) * len(ids))


def factories(config: TrainConfig, *, dropout=0.1, latent=True, augment=None, data=None, validation=True):
    data = data or samples()
    held_out = samples(seed=1, size=16)
    part = config.batch_size // config.accumulate
    the_spec = spec(dropout, latent=latent)

    def batches(start, rank, world_size):
        index = start
        while True:
            yield batch_of(sample_ids(index, part, config.seed)[rank::world_size], data)
            index += 1

    def held(rank, world_size):
        yield batch_of(np.arange(16)[rank::world_size], held_out)

    def policy():
        made = make(the_spec, STATISTICS)
        begin(made, config)
        return made

    return Factories(
        policy=policy,
        batches=batches,
        describe=lambda step: f"ids {sample_ids(step, config.batch_size, config.seed).tolist()}",
        card=Card(policy=the_spec, provenance=PROVENANCE, statistics=STATISTICS, training=config),
        validation=held if validation else None,
        augment=augment,
    )


def config(**changes):
    base = {"steps": 12, "batch_size": 8, "save_every": 4, "validate_every": 4, "log_every": 2, "precision": "fp32"}
    return TrainConfig(**{**base, "tensorboard": False, "learning_rate": 3e-3, **changes})


def noise(batch, rng):
    """An augmentation that uses its generator."""
    state = batch.observation.state
    moved = state + 0.01 * torch.randn(state.shape, generator=rng)
    return replace(batch, observation=replace(batch.observation, state=moved))


def checkpoint_names(out: Path):
    return sorted(path.name for path in (out / "checkpoints").iterdir())


def parallel_config(**changes):
    """A run without noise and with a steady rate, so that one process and two can be compared, and runs prolonged."""
    return config(accumulate=2, clip_norm=0.5, schedule="constant", warmup_steps=0, log_every=1, **changes)


def parallel_factories(chosen):
    return factories(chosen, dropout=0.0, latent=False)


def record(root, episodes=6, length=20, seed=0, name_of_task=("push", "pull")):
    """A data set on disk: drifting states, random pictures, actions that follow the state."""
    weights = np.random.default_rng(7).normal(size=(STATE, ACTION))
    rng = np.random.default_rng(seed)
    with Recorder(root, contract=CONTRACT, provenance=PROVENANCE) as recorder:
        for number in range(episodes):
            state = np.cumsum(rng.normal(scale=0.2, size=(length, STATE)), axis=0).astype(np.float32)
            recorder.record(
                EpisodeData(
                    frames={"front": rng.integers(0, 256, (length, PIXELS, PIXELS, 3), dtype=np.uint8)},
                    state=state,
                    actions=np.tanh(state @ weights).astype(np.float32),
                    instruction="",
                    task=name_of_task[number % len(name_of_task)],
                    seed=number,
                    success=True,
                )
            )
    return Dataset.open(root)
