"""Our side of each comparison: `ours.py CASE FOLDER`; the same cases as peer.py, on the same bytes and weights."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import (
    CAMERAS,
    CHEETAH,
    CHUNK,
    FPS,
    FRAMES,
    JOINTS,
    ROUNDS,
    SIZE,
    SLOTS,
    Work,
    controls,
    episode,
    inputs,
    psnr,
    serve,
)
from pictures import TASK, pictures

from embodia.core.provenance import Provenance
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.types import ActionChunk, Batch, Observation
from embodia.data.dataset import Dataset
from embodia.data.episode import EpisodeData
from embodia.data.loader import Loader
from embodia.data.mixture import Mixture
from embodia.data.readers.lerobot import contract_of
from embodia.data.recorder import Recorder
from embodia.envs import EnvConfig
from embodia.envs.slot import Start
from embodia.envs.vector import VectorEnv
from embodia.io.tensors import load_tensors
from embodia.nn.packed import pack
from embodia.parts.compose import Composition, Inference
from embodia.parts.decoders.diffusion import DiffusionConfig
from embodia.policies import PolicySpec, act, diffusion_policy, make
from embodia.runtime.policy.player import ChunkPlayer
from embodia.training import optim
from embodia.training.config import TrainConfig
from embodia.training.heap import keep_heap
from embodia.weights import lerobot_act, lerobot_diffusion_policy

JOINT = ActionPart(name="j", dim=JOINTS, representation="joint_position", units="rad", low=-9.0, high=9.0)
CONTRACT = Contract(
    observation=ObservationSpec(
        cameras=tuple(CameraSpec(name=name, height=SIZE, width=SIZE) for name in CAMERAS),
        state=(StatePart(name="j", dim=JOINTS, units="rad"),),
        rate_hz=FPS,
        language=False,
    ),
    action=ActionSpec(parts=(JOINT,), rate_hz=FPS),
    embodiment="arm",
)


def opened(folder: Path, *, cached: bool) -> Dataset:
    """The data set that the peer recorded, without decoded frames unless `cached`."""
    root = folder / "data"
    contract = contract_of(root, action=(JOINT,))
    return Dataset.open(root, contract=contract) if cached else Dataset.open(root, contract=contract, cache_bytes=0)


def facts(batch: Batch) -> dict[str, np.ndarray]:
    """Samples as arrays, pictures (B H W 3)."""
    found = {name: batch.observation.images[name][:, 0] for name in CAMERAS}
    return found | {"actions": batch.chunk.actions, "padded": ~batch.chunk.valid}


def sample(folder: Path) -> Work:
    """Random samples, one at a time."""
    dataset, rng = opened(folder, cached=False), np.random.default_rng(0)

    def run() -> float:
        for i in rng.integers(0, dataset.frames, 200):
            dataset.batch(np.array([i]), CHUNK)
        return 200.0

    return Work(run=run, gate=facts(dataset.batch(np.arange(0, dataset.frames, 131), CHUNK)))


def batch(folder: Path) -> Work:
    """Random batches of 64 in one call."""
    dataset, rng = opened(folder, cached=False), np.random.default_rng(0)

    def run() -> float:
        for _ in range(4):
            dataset.batch(rng.integers(0, dataset.frames, 64), CHUNK)
        return 256.0

    return Work(run=run, gate=facts(dataset.batch(np.arange(0, dataset.frames, 131), CHUNK)))


def loader(folder: Path) -> Work:
    """Two threads over the decoded-frame cache, filled before the first repetition (budget: all of it, 786 MB)."""
    dataset = opened(folder, cached=True)
    for number in range(len(dataset.episodes)):
        for name in CAMERAS:
            dataset.images(number, name)
    batches = iter(Loader(Mixture([(dataset, 1.0)]), batch_size=64, chunk=CHUNK, workers=2, prefetch=4))

    def run() -> float:
        for _ in range(40):
            next(batches)
        return 40.0 * 64

    run()
    return Work(run=run)


def first_batch(folder: Path) -> Work:
    """A new process, from its start to its first batch of 64 with two threads."""

    def run() -> float:
        command = [sys.executable, __file__, "first_batch_child", str(folder)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        return 1.0

    return Work(run=run)


def first_batch_child(folder: Path) -> Work:
    """What `first_batch` starts; the cache stays out of it."""
    with Loader(Mixture([(opened(folder, cached=False), 1.0)]), batch_size=64, chunk=CHUNK, workers=2) as batches:
        next(batches)
    raise SystemExit(0)


def record(folder: Path, profile: str = "train") -> Work:
    """Five episodes recorded into a finished data set; units are pictures."""
    episodes, root = [episode(seed) for seed in range(5)], folder / f"recorded-{profile}"
    origin = Provenance(environment="none", profile="faithful", cameras=CAMERAS)

    def run() -> float:
        shutil.rmtree(root, ignore_errors=True)
        with Recorder(root, contract=CONTRACT, provenance=origin, video=profile) as recorder:
            for seed, one in enumerate(episodes):
                recorder.record(
                    EpisodeData(
                        frames={name: one[name] for name in CAMERAS},
                        state=one["state"],
                        actions=one["actions"],
                        instruction="push the square",
                        task="push",
                        seed=seed,
                        success=True,
                    )
                )
        return 5.0 * FRAMES * len(CAMERAS)

    run()
    ids = np.arange(0, 5 * FRAMES, 17)
    shown = facts(Dataset.open(root, cache_bytes=0).batch(ids, 1))
    truth = {name: np.concatenate([one[name] for one in episodes])[ids] for name in CAMERAS}
    size = sum(path.stat().st_size for path in root.rglob("*.mp4"))
    return Work(run=run, gate={"psnr_db": psnr(shown, truth), "bytes": size})


def act_policy(folder: Path) -> Composition:
    """ACT with the peer's default sizes and, where it has left some, its weights."""
    config = act.Config(decoder_layers=1, reduction="batch")
    return _loaded("act", config, folder / "act.safetensors", "model.", lerobot_act.ours)


def diffusing(folder: Path) -> Composition:
    """Diffusion Policy with the peer's default sizes and weights."""
    reduced = DiffusionConfig(reduction="batch")
    config = diffusion_policy.Config(chunk=64, diffusion=reduced, inference=Inference(steps=10))
    convert = partial(lerobot_diffusion_policy.ours, state_dim=JOINTS, history=2, cameras=len(CAMERAS))
    return _loaded("diffusion_policy", config, folder / "diffusion.safetensors", "diffusion.", convert)


def _loaded(name: str, config: Any, weights: Path, prefix: str, convert: Any) -> Composition:
    torch.manual_seed(0)
    policy = make(PolicySpec(name=name, size="paper", contract=CONTRACT, config=config))
    if weights.exists():
        theirs = load_tensors(weights, framework="torch")
        inner = {key.removeprefix(prefix): tensor for key, tensor in theirs.items()}
        found = policy.load_state_dict(convert(inner), strict=False)
        if found.unexpected_keys:
            raise SystemExit(f"weights that do not fit: {found.unexpected_keys}")
    return policy


def _seen(history: int, chunk: int) -> tuple[Observation, torch.Tensor]:
    given = inputs(history, chunk)
    images = {name: torch.from_numpy(given[name]) for name in CAMERAS}
    return Observation(images=images, state=torch.from_numpy(given["state"])), torch.from_numpy(given["actions"])


def _training(policy: Composition, history: int, precision: str) -> Work:
    keep_heap()
    observation, actions = _seen(history, policy.contract.action.chunk)
    valid = torch.ones(actions.shape[:2], dtype=torch.bool)
    batch = Batch(observation=observation, chunk=ActionChunk(actions=actions, valid=valid, spec=policy.contract.action))
    optimizer = optim.build(policy, TrainConfig(steps=1000))
    parameters, rng = list(optim.trainable(policy).values()), torch.Generator().manual_seed(0)

    def run() -> float:
        policy.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss, _ = policy.loss(batch, rng)
        loss.backward()
        optim.clip(parameters, 10.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return 1.0

    return Work(run=run)


def act_train(folder: Path, precision: str = "fp32") -> Work:
    """One optimiser step of ACT, batch of 8."""
    return _training(act_policy(folder), 1, precision)


def diffusion_train(folder: Path, precision: str = "fp32") -> Work:
    """One optimiser step of Diffusion Policy, batch of 8."""
    return _training(diffusing(folder), 2, precision)


def _deciding(policy: Composition, history: int, times: int) -> Work:
    pack(policy)
    observation, _ = _seen(history, policy.contract.action.chunk)
    one, rng = observation.map(lambda array: array[:1]), torch.Generator().manual_seed(0)

    def run() -> float:
        for _ in range(times):
            policy.act(one, None, rng)
        return float(times)

    run()
    return Work(run=run)


def act_chunk(folder: Path) -> Work:
    """A new chunk of ACT, one observation."""
    return _deciding(act_policy(folder), 1, 5)


def diffusion_chunk(folder: Path) -> Work:
    """A new chunk of Diffusion Policy, ten DDIM steps, one observation."""
    return _deciding(diffusing(folder), 2, 1)


def queued(folder: Path) -> Work:
    """An action that is already there."""
    policy = pack(act_policy(folder))
    observation, _ = _seen(1, 100)
    one = observation.map(lambda array: array[:1])
    player = ChunkPlayer(policy)

    def run() -> float:
        for _ in range(90):
            player.action(lambda: one)
        return 90.0

    def before() -> None:
        player.reset()
        player.action(lambda: one)

    return Work(run=run, before=before)


def vector_state(folder: Path, chunk: int = 1) -> Work:
    """Eight cheetahs in one process a core, asked for a new action after every `chunk` steps."""
    env = VectorEnv("gymnasium", EnvConfig(tasks=(CHEETAH,)), slots=SLOTS)
    rounds = controls().reshape(-1, chunk, SLOTS, 6).swapaxes(1, 2)

    def before() -> None:
        env.begin({slot: Start(task=CHEETAH, seed=slot, stop=False) for slot in range(SLOTS)})

    def run() -> float:
        for actions in rounds:
            took = env.run_chunks(dict(enumerate(actions)))
        found["state"] = np.stack([took[slot].state[-1] for slot in range(SLOTS)])
        return float(ROUNDS * SLOTS)

    found: dict[str, Any] = {}
    before()
    run()
    return Work(run=run, gate=found, before=before)


def vector_pixels(folder: Path) -> Work:
    """Eight environments that do nothing but show two pictures, in one process a core; every step is looked at."""
    env = VectorEnv("dots", EnvConfig(), slots=SLOTS, wrap=pictures)
    actions, found = dict.fromkeys(range(SLOTS), np.zeros((1, 2), np.float32)), {}

    def before() -> None:
        env.begin({slot: Start(task=TASK, seed=slot, stop=False) for slot in range(SLOTS)})

    def run() -> float:
        for _ in range(ROUNDS):
            env.run_chunks(actions)
            seen = env.observations()
        found.update({name: seen.images[name][:, 0] for name in CAMERAS})
        return float(ROUNDS * SLOTS)

    before()
    run()
    return Work(run=run, gate=found, before=before)


CASES = {
    "vector_state": vector_state,
    "vector_state_chunk": partial(vector_state, chunk=8),
    "vector_pixels": vector_pixels,
    "sample": sample,
    "batch": batch,
    "loader": loader,
    "first_batch": first_batch,
    "first_batch_child": first_batch_child,
    "record": record,
    "record_small": partial(record, profile="small"),
    "act_train": act_train,
    "act_train_bf16": partial(act_train, precision="bf16"),
    "diffusion_train": diffusion_train,
    "diffusion_train_bf16": partial(diffusion_train, precision="bf16"),
    "act_chunk": act_chunk,
    "diffusion_chunk": diffusion_chunk,
    "queued": queued,
}

if __name__ == "__main__":
    serve("ours", CASES)
