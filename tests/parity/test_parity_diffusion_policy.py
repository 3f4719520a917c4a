"""Diffusion Policy against LeRobot's own: same weights in, same loss, gradient and DDIM sample out."""

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch

from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.types import ActionChunk, Batch, Observation
from embodia.nn.unet1d import UNetConfig
from embodia.parts.compose import parameter_count
from embodia.parts.decoders.diffusion import DiffusionConfig
from embodia.policies import PolicySpec, make
from embodia.policies.diffusion_policy import Config
from embodia.weights.lerobot_diffusion_policy import ours as convert_diffusion

sys.path.insert(0, str(Path(__file__).parent))
from peer import difference, run_peer, store

MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def contract_of(state: int, actions: int, cameras: int, pixels: int) -> Contract:
    part = ActionPart(name="xy", dim=actions, representation="ee_position", units="m", low=-9, high=9)
    seen = ObservationSpec(
        cameras=tuple(CameraSpec(name=f"camera{i}", height=pixels, width=pixels) for i in range(cameras)),
        state=(StatePart(name="xy", dim=state),),
        rate_hz=10,
        language=False,
    )
    return Contract(observation=seen, action=ActionSpec(parts=(part,), rate_hz=10), embodiment="pusher")


def compare(config: dict, ours: Config, contract: Contract, folder: Path, batch_size: int) -> dict[str, float]:
    rng = np.random.default_rng(4)
    seen, dim, pixels = contract.observation, contract.action.dim, contract.observation.cameras[0].height
    pictures = {c.name: rng.integers(0, 256, (batch_size, 2, pixels, pixels, 3), dtype=np.uint8) for c in seen.cameras}
    state = rng.uniform(-1, 1, (batch_size, 2, seen.state_dim)).astype(np.float32)
    actions = rng.uniform(-1, 1, (batch_size, ours.chunk, dim)).astype(np.float32)
    valid = np.arange(ours.chunk)[None] < np.array([ours.chunk, ours.chunk // 2 + 1] * batch_size)[:batch_size, None]
    last = actions[np.arange(batch_size), valid.sum(1) - 1][:, None]
    actions = np.where(valid[..., None], actions, last)
    generator = torch.Generator().manual_seed(11)
    noise = torch.randn(actions.shape, generator=generator)
    times = torch.randint(100, (batch_size,), generator=generator)
    start = rng.normal(size=actions.shape).astype(np.float32)
    inputs = {"observation.state": state, "action": actions, "action_is_pad": ~valid}
    inputs |= {"noise": noise.numpy(), "times": times.numpy(), "start": start}
    for name, picture in pictures.items():
        scaled = ((picture / 255 - MEAN) / DEVIATION).transpose(0, 1, 4, 2, 3)
        inputs[f"observation.images.{name}"] = scaled.astype(np.float32)
    request = {"config": config, "state_dim": seen.state_dim, "action_dim": dim, "seed": 2}
    weights, theirs = run_peer("peer_diffusion.py", request, inputs, folder)

    policy = make(PolicySpec(name="diffusion_policy", size="paper", contract=contract, config=ours))
    inner = {name.removeprefix("diffusion."): tensor for name, tensor in weights.items()}
    converted = convert_diffusion(inner, state_dim=seen.state_dim, history=2, cameras=len(seen.cameras))
    loaded = policy.load_state_dict(converted, strict=False)
    assert not loaded.unexpected_keys
    assert all("_units." in name for name in loaded.missing_keys)
    observation = Observation(images=pictures, state=state).map(torch.from_numpy)
    chunk = ActionChunk(actions=torch.from_numpy(actions), valid=torch.from_numpy(valid), spec=policy.contract.action)
    loss, _ = policy.loss(Batch(observation=observation, chunk=chunk), torch.Generator().manual_seed(11))
    loss.backward()
    with torch.no_grad():
        fixed = policy.decoder.condition(policy.context(observation))
        sampled = policy.decoder.denoise(fixed, torch.from_numpy(start))
    assert int(theirs["parameters"]) == parameter_count(policy)
    return {
        "loss": difference(loss.detach(), theirs["loss"]),
        "gradient": difference(policy.decoder.net.last[1].weight.grad, theirs["gradient"]),
        "sample": difference(sampled, theirs["chunk"]),
    }


def test_small_diffusion_policy_equals_lerobot(tmp_path):
    sizes = {"down_dims": [32, 64, 96], "diffusion_step_embed_dim": 32, "horizon": 16, "n_action_steps": 8}
    unet = UNetConfig(widths=(32, 64, 96), time_width=32)
    ours = Config(unet=unet, diffusion=DiffusionConfig(reduction="batch"))
    found = compare(sizes, ours, contract_of(3, 4, 2, 64), tmp_path, batch_size=3)
    assert max(found.values()) <= 1e-4, found


@pytest.mark.long
def test_published_size_equals_lerobot(tmp_path):
    ours = Config(chunk=64, diffusion=DiffusionConfig(reduction="batch"))
    found = compare({}, ours, contract_of(2, 2, 1, 96), tmp_path, batch_size=2)
    store("parity_diffusion_policy.json", {
        "peer": "lerobot 0.6.1, Diffusion Policy with its default sizes (group norm): PushT, 262,709,026 parameters",
        "largest_absolute_difference": found,
        "tolerance": 1e-4,
        "precision": "float32",
        "command": "EMBODIA_STORE_RESULTS=1 python -m pytest -m long tests/parity/test_parity_diffusion_policy.py",
        "versions": {"torch": version("torch"), "diffusers": version("diffusers"), "lerobot": "0.6.1"},
        "seed": 2,
        "notes": "random weights, given noise and times, padded chunks, ten DDIM steps from given noise",
    })  # fmt: skip
    assert max(found.values()) <= 1e-4, found
