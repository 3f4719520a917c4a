"""LeRobot's X-VLA checkpoints here and ours there: read by the other program, they act alike."""

import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from shutil import copyfile

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

from embodia import weights
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.types import Observation
from embodia.training import checkpoint

sys.path.insert(0, str(Path(__file__).parent))
from peer import difference, run_script, store

CHUNK, SENTENCES = 5, ("open the door", "push")
VISION = {"embed_dim": [8, 16], "depths": [1, 2], "num_heads": [2, 4], "num_groups": [2, 4], "patch_size": [7, 3],
          "patch_stride": [4, 2], "patch_padding": [3, 1], "patch_prenorm": [False, True], "window_size": 3,
          "projection_dim": 24, "max_position_embeddings": 8, "max_temporal_embeddings": 5}  # fmt: skip
TEXT = {"vocab_size": 300, "d_model": 24, "encoder_layers": 2, "encoder_ffn_dim": 40, "encoder_attention_heads": 4,
        "decoder_layers": 1, "decoder_attention_heads": 4, "decoder_ffn_dim": 40,
        "max_position_embeddings": 90}  # fmt: skip
SHARED = {"florence_config": {"vision_config": VISION, "text_config": TEXT, "bos_token_id": 0, "pad_token_id": 1},
          "chunk_size": CHUNK, "n_action_steps": CHUNK, "hidden_size": 32, "depth": 3, "num_heads": 4,
          "num_domains": 4, "len_soft_prompts": 3, "dim_time": 8, "max_len_seq": 160, "max_state_dim": 20,
          "num_denoising_steps": 4, "tokenizer_max_length": 20}  # fmt: skip
PLAIN = dict.fromkeys(("VISUAL", "STATE", "ACTION"), "IDENTITY")
CASES = {
    "ee6d": (SHARED | {"action_mode": "ee6d", "num_image_views": 3}, PLAIN, 2),
    "ee6d, boxed": (SHARED | {"action_mode": "ee6d", "resize_imgs_with_padding": [40, 40]}, PLAIN, 0),
    "auto": (SHARED | {"action_mode": "auto", "use_hetero_proj": True},
             PLAIN | {"STATE": "MEAN_STD", "ACTION": "MEAN_STD"}, 3),
}  # fmt: skip
"""LeRobot's settings, how it normalises, and the number of the body."""
TABLES = {"model.vlm.language_model.shared.weight", "model.vlm.language_model.encoder.embed_tokens.weight"}
"""A tensor that a file of shared tensors may hold under either of two names."""


def hand(name):
    return (
        ActionPart(name=f"{name}_place", dim=3, representation="ee_position", units="m", low=-9, high=9),
        ActionPart(name=f"{name}_turn", dim=6, representation="ee_rotation", rotation="rot6d", low=-9, high=9),
        ActionPart(name=f"{name}_grip", dim=1, representation="gripper", polarity="positive_closes", low=0, high=1),
    )


def body(kind):
    joints = (ActionPart(name="joint", dim=7, representation="joint_position", units="rad", low=-99, high=99),)
    return Contract(
        observation=ObservationSpec(
            cameras=tuple(CameraSpec(name=name, height=24, width=32) for name in ("top", "wrist")),
            state=(StatePart(name="joint", dim=20 if kind.startswith("ee6d") else 6),),
            rate_hz=10,
        ),
        action=ActionSpec(parts=(*hand("left"), *hand("right")) if kind.startswith("ee6d") else joints, rate_hz=10),
        embodiment="arm",
    )


def write_pieces(file: Path) -> None:
    """Bytes and two pairs, opened and closed as BART's sentences are."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    ids = {text: index for index, text in enumerate(["<s>", "<pad>", "</s>", *letters, "th", "op"])}
    made = Tokenizer(models.BPE(vocab=ids, merges=[("t", "h"), ("o", "p")]))
    made.add_special_tokens([AddedToken(text, special=True) for text in ("<s>", "<pad>", "</s>")])
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    marks = [("<s>", 0), ("</s>", 2)]
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=marks)
    made.save(str(file))


def act(folder: Path, seen: Observation, noise: np.ndarray) -> np.ndarray:
    """Physical actions, not cut to the contract."""
    policy, _, _ = checkpoint.load_policy(folder)
    with torch.no_grad():
        found = policy.decoder.from_noise(policy.context(seen), torch.from_numpy(noise))
        return policy.action_units.undo(found).numpy()


@pytest.mark.parametrize("kind", CASES)
def test_checkpoints_cross_both_ways(kind, tmp_path):
    torch.set_num_threads(1)
    config, modes, domain = CASES[kind]
    contract, rng = body(kind), np.random.default_rng(0)
    seen = Observation(
        images={name: rng.integers(0, 256, (2, 1, 24, 32, 3), dtype=np.uint8) for name in ("top", "wrist")},
        state=rng.normal(size=(2, 1, contract.observation.state_dim)).astype(np.float32),
        instruction=SENTENCES,
        embodiment="arm",
    )
    noise = rng.normal(size=(2, CHUNK, 20)).astype(np.float32)
    inputs = {"observation.state": seen.state[:, -1], "noise": noise}
    for name, picture in seen.images.items():
        inputs[f"observation.images.{name}"] = (picture[:, -1] / 255).transpose(0, 3, 1, 2).astype(np.float32)
    second = tmp_path / "second"
    second.mkdir()
    asked = {"config": config, "modes": modes, "domain": domain, "sentences": SENTENCES, "actions": contract.action.dim}
    for place in (tmp_path, second):
        write_pieces(place / "tokenizer.json")
        np.savez(place / "inputs.npz", **inputs)
    run_script("peer_xvla.py", {**asked, "write": True}, tmp_path)
    theirs = np.load(tmp_path / "outputs.npz")["actions"]
    copyfile(tmp_path / "tokenizer.json", tmp_path / "theirs" / "tokenizer.json")
    assert weights.recognise(tmp_path / "theirs").POLICY == "x_vla"
    weights.bring_in(tmp_path / "theirs", tmp_path / "ours", contract)
    ours = act(tmp_path / "ours", seen, noise)
    other = act(tmp_path / "ours", replace(seen, instruction=SENTENCES[::-1]), noise)
    assert theirs.std() > 0.1 and np.abs(other - ours).max() > 1e-3, "a comparison of nothing with nothing"

    weights.hand_out(tmp_path / "ours", second / "theirs", "lerobot_xvla")
    run_script("peer_xvla.py", {**asked, "write": False}, second)
    back = np.load(second / "outputs.npz")["actions"]
    first, last = (load_file(place / "theirs" / "model.safetensors") for place in (tmp_path, second))
    assert first.keys() - TABLES == last.keys() - TABLES
    found = {"brought_in": difference(ours, theirs), "handed_out": difference(back, theirs)}
    facts = {
        "peer": "lerobot 0.6.1: save_pretrained and from_pretrained of policy and processors",
        "largest_absolute_difference": {kind: found},
        "tolerance": 1e-4,
        "precision": "float32",
        "command": "EMBODIA_STORE_RESULTS=1 python -m pytest tests/parity/test_parity_xvla.py",
        "versions": {"torch": version("torch"), "lerobot": "0.6.1"},
        "seed": 3,
        "notes": "random weights, toy sizes, all steps of the sampler, physical actions through the peer's own pre- "
        "and postprocessors; no tensor is lost; one view missing, pictures boxed, layers of the body's own, a body "
        "that is not the first",
    }
    store("parity_xvla.json", facts, part=True)
    assert max(found.values()) <= 1e-4, found
