"""ACT against LeRobot's own: same weights in, same losses, gradients, chunks and ensembled actions out."""

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch

from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.types import ActionChunk, Batch, Observation
from embodia.parts.compose import Inference, parameter_count
from embodia.policies import PolicySpec, make
from embodia.policies.act import Config
from embodia.weights.lerobot_act import ours as convert_act

sys.path.insert(0, str(Path(__file__).parent))
from peer import difference, run_peer, store

MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
SMALL = {"chunk_size": 10, "n_action_steps": 10, "dim_model": 64, "n_heads": 4, "dim_feedforward": 96, "dropout": 0.0,
         "n_encoder_layers": 2, "n_decoder_layers": 2, "n_vae_encoder_layers": 2, "latent_dim": 6}  # fmt: skip


def contract_of(joints: int, cameras: int, height: int, width: int) -> Contract:
    part = ActionPart(name="joint", dim=joints, representation="joint_position", units="rad", low=-100, high=100)
    seen = ObservationSpec(
        cameras=tuple(CameraSpec(name=f"camera{i}", height=height, width=width) for i in range(cameras)),
        state=(StatePart(name="joint", dim=joints, units="rad"),),
        rate_hz=50,
        language=False,
    )
    return Contract(observation=seen, action=ActionSpec(parts=(part,), rate_hz=50), embodiment="aloha")


def compare(config: dict, ours: Config, contract: Contract, folder: Path, batch_size: int) -> dict[str, float]:
    rng = np.random.default_rng(3)
    seen, joints = contract.observation, contract.action.dim
    size = (seen.cameras[0].height, seen.cameras[0].width)
    pictures = {c.name: rng.integers(0, 256, (batch_size, 1, *size, 3), dtype=np.uint8) for c in seen.cameras}
    state = rng.normal(size=(batch_size, 1, joints)).astype(np.float32)
    actions = rng.normal(size=(batch_size, ours.chunk, joints)).astype(np.float32)
    lengths = rng.integers(1, ours.chunk + 1, batch_size)
    lengths[0] = ours.chunk
    valid = np.arange(ours.chunk)[None] < lengths[:, None]
    latent = torch.randn((batch_size, ours.latent), generator=torch.Generator().manual_seed(5))
    last = actions[np.arange(batch_size), lengths - 1][:, None]
    actions = np.where(valid[..., None], actions, last)
    inputs = {"observation.state": state[:, 0], "action": actions, "action_is_pad": ~valid, "noise": latent.numpy()}
    for name, picture in pictures.items():
        scaled = ((picture[:, 0] / 255 - MEAN) / DEVIATION).transpose(0, 3, 1, 2)
        inputs[f"observation.images.{name}"] = scaled.astype(np.float32)
    request = {"config": config, "state_dim": joints, "action_dim": joints, "seed": 1}
    weights, theirs = run_peer("peer_act.py", request, inputs, folder)

    policy = make(PolicySpec(name="act", size="paper", contract=contract, config=ours))
    loaded = policy.load_state_dict(
        convert_act({name.removeprefix("model."): tensor for name, tensor in weights.items()}), strict=False
    )
    assert not loaded.unexpected_keys
    assert set(loaded.missing_keys) == {
        f"{side}_units.{leaf}" for side in ("state", "action") for leaf in ("offset", "scale")
    }
    observation = Observation(images=pictures, state=state).map(torch.from_numpy)
    chunk = ActionChunk(actions=torch.from_numpy(actions), valid=torch.from_numpy(valid), spec=policy.contract.action)
    loss, terms = policy.loss(Batch(observation=observation, chunk=chunk), torch.Generator().manual_seed(5))
    loss.backward()
    acted = policy.sample(observation, None)[:, 0].detach()
    gradient = policy.encoders["image"].project.weight.grad
    assert int(theirs["parameters"]) == parameter_count(policy)
    return {
        "loss": difference(loss.detach(), theirs["loss"]),
        "l1": difference(terms["l1"], theirs["l1"]),
        "kl": difference(terms["kl"], theirs["kl"]),
        "chunk": difference(acted, theirs["chunk"]),
        "gradient": difference(gradient, theirs["gradient"]),
        "ensemble": difference(_ensembled(acted), theirs["blended"]),
    }


def _ensembled(chunk: torch.Tensor) -> torch.Tensor:
    from embodia.parts.acting import blend

    carry, steps = None, []
    for scale in (1.0, 0.5, -0.25):
        first, carry = blend(chunk * scale, carry, m=0.01, every=1)
        steps.append(first[:, 0])
    return torch.stack(steps, dim=1)


def test_small_act_equals_lerobot(tmp_path):
    ours = Config(chunk=10, width=64, heads=4, hidden=96, encoder_layers=2, decoder_layers=2, posterior_layers=2,
                  latent=6, dropout=0.0, reduction="batch", inference=Inference())  # fmt: skip
    found = compare(SMALL, ours, contract_of(7, 2, 96, 128), tmp_path, batch_size=3)
    assert max(found.values()) <= 1e-4, found


@pytest.mark.long
def test_published_size_equals_lerobot(tmp_path):
    config = {"dropout": 0.0}
    ours = Config(decoder_layers=1, dropout=0.0, reduction="batch")
    found = compare(config, ours, contract_of(14, 1, 480, 640), tmp_path, batch_size=2)
    store("parity_act.json", {
        "peer": "lerobot 0.6.1, ACT with its default sizes: one camera 480 x 640, 14 joints, 51,613,582 parameters",
        "largest_absolute_difference": found,
        "tolerance": 1e-4,
        "precision": "float32",
        "command": "EMBODIA_STORE_RESULTS=1 python -m pytest -m long tests/parity/test_parity_act.py",
        "versions": {"torch": version("torch"), "lerobot": "0.6.1"},
        "seed": 1,
        "notes": "random weights, random frozen batch statistics, padded chunks, given latent noise",
    })  # fmt: skip
    assert max(found.values()) <= 1e-4, found
