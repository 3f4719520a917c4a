"""pi0.5 against LeRobot's own at toy size: the same weights in, the same loss and actions out."""

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
from embodia.parts.encoders.siglip import SiglipConfig
from embodia.policies import pi05
from embodia.weights import lerobot_pi05

PIXELS, WORDS = 28, 600
SHARED = {"depth": 3, "heads": 8, "kv_heads": 1, "head_dim": 16}
READER = TransformerConfig(width=48, mlp_width=64, **SHARED)
EXPERT = TransformerConfig(width=32, mlp_width=40, **SHARED)


def ours():
    base = pi05.PAPER
    eye = SiglipConfig(width=36, depth=2, heads=2, hidden=4304, patch=14, pixels=PIXELS)
    vlm = replace(base.vlm, vision=eye, model=READER, text=replace(base.vlm.text, vocabulary=WORDS))
    model = replace(base, vlm=vlm, expert=EXPERT, padded=toys.PADDED, thought=None, normalization="identity")
    return toys.build("pi05", PIXELS, pi05.Config(chunk=toys.CHUNK, model=model))


def sizes(config):
    return {
        "width": config.width,
        "depth": config.depth,
        "mlp_dim": config.mlp_width,
        "num_heads": config.heads,
        "num_kv_heads": config.kv_heads,
        "head_dim": config.head_dim,
    }


def request(seed):
    vision = {"hidden_size": 36, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 14}
    return {
        "vision": {**vision, "image_size": PIXELS, "vision_use_head": False},
        "sizes": {"gemma_2b": sizes(READER), "gemma_300m": sizes(EXPERT)},
        "words": WORDS,
        "chunk": toys.CHUNK,
        "padded": toys.PADDED,
        "seed": seed,
    }


@pytest.mark.long
def test_equal_loss_and_actions(tmp_path):
    policy = ours()
    records = toys.records(policy, PIXELS, 0)
    weights, outputs = run_peer("peer_pi05.py", request(0), toys.inputs(policy, *records), tmp_path)
    missing, unexpected = policy.load_state_dict(lerobot_pi05.ours(weights), strict=False)
    assert not unexpected and all("_units." in name for name in missing), (missing, unexpected)
    found = toys.compare(policy, records, outputs)
    assert max(found.values()) <= 1e-4, found
    with torch.no_grad():
        policy.decoder.velocity.transformer.layers[1].mlp_norm.modulation.weight[0] += 0.5
    assert max(toys.compare(policy, records, outputs).values()) > 1e-3, "one row of an adaptive norm moved"
    store(
        "parity_pi05.json",
        {
            "policy": "pi05",
            "peer": "lerobot 0.6.1, PI05Pytorch",
            "largest_absolute_difference": found,
            "tolerance": 1e-4,
            "n": 1,
            "dtype": "float32",
            "command": "EMBODIA_STORE_RESULTS=1 pytest -m long tests/parity/test_parity_pi05.py",
            "versions": {"torch": torch.__version__, "lerobot": "0.6.1", "transformers": version("transformers")},
            "hardware": platform.machine(),
            "notes": "random weights and inputs at toy size; states written into prompts of unequal length, one sample "
            "without its second camera; adaptive norms with random modulation; ten Euler steps.",
        },
    )
