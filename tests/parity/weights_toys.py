"""LeRobot's vision-language-action checkpoints at toy size: sizes for both sides, a vocabulary, one crossing."""

from dataclasses import replace
from pathlib import Path
from shutil import copyfile

import numpy as np
import torch
from peer import difference, run_script
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from embodia import weights
from embodia.core.specs import Contract
from embodia.core.types import Observation
from embodia.nn.transformer import TransformerConfig
from embodia.parts.encoders.siglip import SiglipConfig
from embodia.parts.encoders.towers import TowerConfig
from embodia.policies import smolvla
from embodia.training import checkpoint
from embodia.weights import _vla, lerobot_smolvla

WORDS, CHUNK, PADDED, SHUFFLE = 300, 6, 8, 4
SENTENCES = ("open the_door ", "push")
PI = {"depth": 3, "heads": 8, "kv_heads": 1, "head_dim": 16}
GEMMA = {
    "gemma_2b": TransformerConfig(width=48, mlp_width=64, **PI),
    "gemma_300m": TransformerConfig(width=32, mlp_width=40, **PI),
}
EYE = SiglipConfig(width=36, depth=2, heads=2, hidden=4304, patch=14, pixels=28, smooth=False)
LLAMA = {"depth": 4, "heads": 3, "kv_heads": 1, "head_dim": 16, "activation": "silu", "norm": "llama", "epsilon": 1e-5}
SHARED = {"chunk_size": CHUNK, "n_action_steps": 4, "max_action_dim": PADDED, "max_state_dim": PADDED}
PI_CONFIG = {**SHARED, "dtype": "float32", "image_resolution": [28, 28], "tokenizer_max_length": 96}
SMOL = {**SHARED, "resize_imgs_with_padding": [32, 32], "num_vlm_layers": 4, "expert_width_multiplier": 0.75}
CASES = {"pi0": PI_CONFIG, "pi05": PI_CONFIG, "smolvla": SMOL}
TIED = {
    "model.paligemma_with_expert.paligemma.lm_head.weight",
    "model.paligemma_with_expert.paligemma.model.language_model.embed_tokens.weight",
}
"""A tensor that a file of shared tensors may hold under either of two names."""


def shrink(monkeypatch) -> None:
    """Our tables of public sizes, in toy size."""
    base = smolvla.PAPER
    eye = TowerConfig(width=24, depth=2, heads=2, hidden=40, patch=4, pixels=32)
    vlm = replace(base.vlm, vision=eye, model=TransformerConfig(width=48, mlp_width=64, **LLAMA))
    toy = replace(base, vlm=vlm, expert=TransformerConfig(width=36, mlp_width=256, **LLAMA))
    monkeypatch.setattr(_vla, "GEMMA", GEMMA)
    monkeypatch.setattr(_vla, "EYES", {"siglip": EYE})
    monkeypatch.setattr(lerobot_smolvla, "MODELS", dict.fromkeys(lerobot_smolvla.MODELS, toy))


def request(kind: str, write: bool) -> dict:
    """What the peer needs to build the same."""
    asked = {"kind": kind, "write": write, "config": CASES[kind], "words": WORDS, "sentences": SENTENCES}
    if kind == "smolvla":
        vision = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 2}
        text = {"hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 3}
        return {
            **asked,
            "vision": {**vision, "patch_size": 4, "image_size": 32},
            "text": {**text, "num_key_value_heads": 1, "head_dim": 16, "vocab_size": WORDS},
            "shuffle": SHUFFLE,
        }
    vision = {"hidden_size": 36, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 14}
    sizes = {
        name: {"width": size.width, "mlp_dim": size.mlp_width, "depth": 3, "num_heads": 8, "num_kv_heads": 1}
        for name, size in GEMMA.items()
    }
    return {
        **asked,
        "vision": {**vision, "image_size": 28, "vision_use_head": False},
        "sizes": {name: {**numbers, "head_dim": 16} for name, numbers in sizes.items()},
    }


def write_pieces(file: Path, *, opened: bool) -> None:
    """Bytes and two pairs as a vocabulary; `opened` begins every sentence with <bos>, as Gemma's does."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    ids = {text: index for index, text in enumerate(["<pad>", "<eos>", "<bos>", *letters, "th", "op"])}
    made = Tokenizer(models.BPE(vocab=ids, merges=[("t", "h"), ("o", "p")]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if opened:
        made.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    made.save(str(file))


def act(folder: Path, observation: Observation, noise: np.ndarray) -> np.ndarray:
    """Physical actions, not cut to the contract."""
    policy, _, _ = checkpoint.load_policy(folder)
    with torch.no_grad():
        flowed = policy.decoder.from_noise(policy.context(observation), torch.from_numpy(noise))
        return policy.action_units.undo(flowed).numpy()


def cross(kind: str, body: Contract, seen: Observation, folder: Path) -> dict[str, float]:
    """Largest differences of physical actions, theirs read here and ours read there; all tensors are still there."""
    seen = replace(seen, instruction=SENTENCES)
    noise = np.random.default_rng(1).normal(size=(2, CHUNK, PADDED)).astype(np.float32)
    inputs = {"observation.state": seen.state[:, -1], "noise": noise}
    for name, picture in seen.images.items():
        inputs[f"observation.images.{name}"] = (picture[:, -1] / 255).transpose(0, 3, 1, 2).astype(np.float32)
    second = folder / "second"
    second.mkdir()
    for place in (folder, second):
        write_pieces(place / "tokenizer.json", opened=kind != "smolvla")
        np.savez(place / "inputs.npz", **inputs)
    run_script("peer_weights_vla.py", request(kind, True), folder)
    theirs = np.load(folder / "outputs.npz")["actions"]
    copyfile(folder / "tokenizer.json", folder / "theirs" / "tokenizer.json")
    weights.bring_in(folder / "theirs", folder / "ours", body)
    ours = act(folder / "ours", seen, noise)

    weights.hand_out(folder / "ours", second / "theirs", f"lerobot_{kind}")
    run_script("peer_weights_vla.py", request(kind, False), second)
    back = np.load(second / "outputs.npz")["actions"]
    first, last = (load_file(place / "theirs" / "model.safetensors") for place in (folder, second))
    assert first.keys() - TIED <= last.keys() and last.keys() - first.keys() <= TIED
    assert theirs.std() > 0.1, "a comparison of nothing with nothing"
    return {"brought_in": difference(ours, theirs), "handed_out": difference(back, theirs)}
