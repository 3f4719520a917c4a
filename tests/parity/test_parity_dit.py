"""Our modulated transformer block gives the numbers of LeRobot's multi-task diffusion transformer, with its weights."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from peer import difference, run_peer

from embodia.nn.dit import Block, BlockSizes
from embodia.nn.rope import rotary_table

WIDTH, HEADS, CONDITION = 32, 4, 12


def ours(weights: dict, rope: bool) -> Block:
    """Their names: one matrix for queries, keys and values, in torch's attention or beside it."""
    block = Block(BlockSizes(width=WIDTH, heads=HEADS, hidden=4 * WIDTH), condition=CONDITION).eval()
    joint, out = (
        ("attn.qkv_proj.", "attn.out_proj.") if rope else ("multihead_attn.in_proj_", "multihead_attn.out_proj.")
    )
    state = {}
    for kind in ("weight", "bias"):
        query, key_value = weights[f"{joint}{kind}"].split([WIDTH, 2 * WIDTH])
        state[f"attention.query.{kind}"], state[f"attention.key_value.{kind}"] = query, key_value
        state[f"attention.out.{kind}"] = weights[f"{out}{kind}"]
        state[f"mlp.up.{kind}"], state[f"mlp.down.{kind}"] = weights[f"mlp.0.{kind}"], weights[f"mlp.2.{kind}"]
        state[f"modulation.{kind}"] = weights[f"adaLN_modulation.1.{kind}"]
    block.load_state_dict(state)
    return block


@pytest.mark.parametrize("rope", [False, True])
def test_block_equals_lerobot(tmp_path, rope):
    rng = np.random.default_rng(0)
    inputs = {
        "x": rng.normal(size=(3, 8, WIDTH)).astype(np.float32),
        "condition": rng.normal(size=(3, CONDITION)).astype(np.float32),
    }
    request = {"width": WIDTH, "heads": HEADS, "condition": CONDITION, "rope": rope}
    weights, theirs = run_peer("peer_dit.py", request, inputs, tmp_path)
    x = torch.from_numpy(inputs["x"]).requires_grad_()
    table = rotary_table(torch.arange(8)[None], WIDTH // HEADS) if rope else None
    out = ours(weights, rope)(x, torch.from_numpy(inputs["condition"]), table=table)
    out.square().sum().backward()
    scale = float(np.abs(theirs["gradient"]).max())
    assert difference(out.detach(), theirs["out"]) <= 1e-4
    assert difference(x.grad, theirs["gradient"]) / scale <= 1e-4
