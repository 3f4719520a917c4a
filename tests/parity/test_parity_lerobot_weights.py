"""LeRobot's checkpoints here and ours there: read by the other program, they act alike, in physical units."""

import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from embodia import weights
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.types import Observation
from embodia.parts.compose import Composition
from embodia.training import checkpoint

sys.path.insert(0, str(Path(__file__).parent))
import fast_toy
import weights_toys as toys
from peer import difference, run_script, store

DIM, HEIGHT, WIDTH, CAMERAS = 4, 48, 64, ("top", "wrist")
BODY = Contract(
    observation=ObservationSpec(
        cameras=tuple(CameraSpec(name=name, height=HEIGHT, width=WIDTH) for name in CAMERAS),
        state=(StatePart(name="joint", dim=DIM, units="rad"),),
        rate_hz=50,
        language=False,
    ),
    action=ActionSpec(
        parts=(ActionPart(name="joint", dim=DIM, representation="joint_position", units="rad", low=-99, high=99),),
        rate_hz=50,
    ),
    embodiment="arm",
)
ACT = {"chunk_size": 10, "n_action_steps": 5, "dim_model": 64, "n_heads": 4, "dim_feedforward": 96, "latent_dim": 6,
       "n_encoder_layers": 2, "n_decoder_layers": 1, "n_vae_encoder_layers": 2}  # fmt: skip
DIFFUSION = {"down_dims": [32, 64, 96], "diffusion_step_embed_dim": 32, "horizon": 16, "n_action_steps": 8,
             "use_group_norm": True, "noise_scheduler_type": "DDIM", "num_inference_steps": 10}  # fmt: skip
VQ_BET = {"n_obs_steps": 3, "action_chunk_size": 4, "crop_shape": [40, 56], "vqvae_n_embed": 8, "gpt_n_layer": 2,
          "vqvae_embedding_dim": 16, "vqvae_enc_hidden_dim": 24, "gpt_block_size": 20, "gpt_input_dim": 24,
          "gpt_output_dim": 40, "gpt_n_head": 4, "gpt_hidden_dim": 32, "spatial_softmax_num_keypoints": 6,
          "bet_softmax_temperature": 1e-6}  # fmt: skip
CASES = {
    "act": (ACT, "lerobot_act", 1, CAMERAS, set()),
    "diffusion": (DIFFUSION, "lerobot_diffusion_policy", 2, CAMERAS, {"pos_grid"}),
    "vqbet": (VQ_BET, "lerobot_vq_bet", 3, CAMERAS[:1], set()),
}
"""LeRobot's type: sizes, our layout, moments seen, cameras, tables it stores and can do without."""


def body(cameras: tuple[str, ...]) -> Contract:
    kept = tuple(camera for camera in BODY.observation.cameras if camera.name in cameras)
    return replace(BODY, observation=replace(BODY.observation, cameras=kept))


def seen(history: int, cameras: tuple[str, ...]) -> Observation:
    rng = np.random.default_rng(0)
    pictures = {name: rng.integers(0, 256, (2, history, HEIGHT, WIDTH, 3), dtype=np.uint8) for name in cameras}
    return Observation(images=pictures, state=rng.normal(size=(2, history, DIM)).astype(np.float32))


def act(policy: Composition, observation: Observation, noise: np.ndarray | None) -> np.ndarray:
    """Physical actions, not cut to the contract."""
    with torch.no_grad():
        if noise is None:
            return policy.sample(observation, None)[:, 0].numpy()
        fixed = policy.decoder.condition(policy.context(observation))
        return policy.action_units.undo(policy.decoder.denoise(fixed, torch.from_numpy(noise))).numpy()


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "theirs" / "model.safetensors")


def cross(kind: str, folder: Path) -> dict[str, float]:
    config, layout, history, cameras, spared = CASES[kind]
    observation, noise = seen(history, cameras), None
    inputs = {"observation.state": observation.state}
    inputs |= {
        f"observation.images.{name}": (picture / 255).transpose(0, 1, 4, 2, 3).astype(np.float32)
        for name, picture in observation.images.items()
    }
    if kind == "diffusion":
        noise = np.random.default_rng(1).normal(size=(2, config["horizon"], DIM)).astype(np.float32)
        inputs["noise"] = noise
    np.savez(folder / "inputs.npz", **inputs)
    run_script("peer_weights.py", {"kind": kind, "write": True, "config": config}, folder)
    theirs = np.load(folder / "outputs.npz")["actions"]
    weights.bring_in(folder / "theirs", folder / "ours", body(cameras))
    policy, _, _ = checkpoint.load_policy(folder / "ours")
    ours = act(policy, observation, noise)[:, policy.inference.skip :]

    second = folder / "second"
    second.mkdir()
    np.savez(second / "inputs.npz", **inputs)
    weights.hand_out(folder / "ours", second / "theirs", layout)
    run_script("peer_weights.py", {"kind": kind, "write": False}, second)
    back = np.load(second / "outputs.npz")["actions"]
    lost = tensors(folder).keys() - tensors(second).keys()
    assert {name.rpartition(".")[2] for name in lost} <= spared and tensors(second).keys() <= tensors(folder).keys()
    return {"brought_in": difference(ours, theirs), "handed_out": difference(back, theirs)}


@pytest.mark.parametrize("kind", [*CASES, *toys.CASES, "pi0_fast"])
def test_checkpoints_cross_both_ways(kind, tmp_path, monkeypatch):
    if kind in CASES:
        found = cross(kind, tmp_path)
    else:
        toys.shrink(monkeypatch)
        spoken = replace(BODY, observation=replace(BODY.observation, language=True))
        found = (
            fast_toy.cross(spoken, seen(1, CAMERAS), tmp_path)
            if kind == "pi0_fast"
            else toys.cross(kind, spoken, seen(1, CAMERAS), tmp_path)
        )
    facts = {
        "peer": "lerobot 0.6.1: save_pretrained and from_pretrained of policy and processors",
        "largest_absolute_difference": {kind: found},
        "tolerance": 1e-4,
        "precision": "float32",
        "command": "EMBODIA_STORE_RESULTS=1 python -m pytest tests/parity/test_parity_lerobot_weights.py",
        "versions": {"torch": version("torch"), "lerobot": "0.6.1"},
        "seed": 3,
        "notes": "random weights, toy sizes, physical actions through the peer's own pre- and postprocessors; no "
        "tensor is lost; sentences differ in length, and pictures have another shape than the network's",
    }
    store("parity_lerobot_weights.json", facts, part=True)
    assert max(found.values()) <= 1e-4, found


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
