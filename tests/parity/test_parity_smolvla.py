"""SmolVLA against LeRobot's own at toy size: the same weights in, the same loss and actions out."""

import platform
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
import flow_toys as toys
from peer import run_peer, store

from embodia.nn.transformer import TransformerConfig
from embodia.parts.encoders.towers import TowerConfig
from embodia.policies import smolvla
from embodia.weights import lerobot_smolvla

PIXELS, PATCH, WIDTH, WORDS, SHUFFLE = 32, 4, 48, 300, 4
SHARED = {"depth": 4, "heads": 3, "kv_heads": 1, "head_dim": 16, "activation": "silu", "norm": "llama", "epsilon": 1e-5}


def ours():
    base = smolvla.PAPER
    eye = TowerConfig(width=24, depth=2, heads=2, hidden=40, patch=PATCH, pixels=PIXELS)
    reader = TransformerConfig(width=WIDTH, mlp_width=64, **SHARED)
    vlm = replace(base.vlm, vision=eye, model=reader, text=replace(base.vlm.text, vocabulary=WORDS))
    expert = TransformerConfig(width=36, mlp_width=256, **SHARED)
    model = replace(base, vlm=vlm, expert=expert, padded=toys.PADDED)
    return toys.build("smolvla", PIXELS, smolvla.Config(chunk=toys.CHUNK, model=model))


def request(seed):
    vision = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {"hidden_size": WIDTH, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 3}
    return {
        "vision": {**vision, "patch_size": PATCH, "image_size": PIXELS},
        "text": {**text, "num_key_value_heads": 1, "head_dim": 16, "vocab_size": WORDS, "tie_word_embeddings": False},
        "shuffle": SHUFFLE,
        "depth": 4,
        "chunk": toys.CHUNK,
        "padded": toys.PADDED,
        "seed": seed,
    }


def load(policy, weights):
    missing, unexpected = policy.load_state_dict(lerobot_smolvla.ours(weights, SHUFFLE), strict=False)
    assert not unexpected and all("_units." in name for name in missing)


def difference(seed, folder):
    policy = ours()
    records = toys.records(policy, PIXELS, seed)
    weights, outputs = run_peer("peer_smolvla.py", request(seed), toys.inputs(policy, *records), folder)
    load(policy, weights)
    return toys.compare(policy, records, outputs), policy, records, outputs


@pytest.mark.long
def test_equal_loss_and_actions(tmp_path):
    found, policy, records, outputs = difference(0, tmp_path)
    assert max(found.values()) <= 1e-4, found
    with torch.no_grad():
        policy.decoder.velocity.transformer.layers[1].attention.value.weight += 0.3
    assert max(toys.compare(policy, records, outputs).values()) > 1e-3, "the values of a cross layer moved"
    store(
        "parity_smolvla.json",
        {
            "policy": "smolvla",
            "peer": "lerobot 0.6.1, VLAFlowMatching",
            "largest_absolute_difference": found,
            "tolerance": 1e-4,
            "n": 1,
            "dtype": "float32",
            "command": "EMBODIA_STORE_RESULTS=1 pytest -m long tests/parity/test_parity_smolvla.py",
            "versions": {"torch": torch.__version__, "lerobot": "0.6.1", "transformers": version("transformers")},
            "hardware": platform.machine(),
            "notes": "random weights and inputs at toy size; three sentences of unequal length, one sample without its "
            "second camera; two joined and two crossing layers; ten Euler steps.",
        },
    )
