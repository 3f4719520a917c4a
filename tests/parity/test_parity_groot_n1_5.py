"""GR00T N1.5's action head with LeRobot's modules: the same weights in, the same actions out, both ways."""

import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from embodia import weights
from embodia.core.invent import invent_observation
from embodia.training import checkpoint
from embodia.weights import groot_n1_5 as layout

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "weights"))
import test_weights_groot_n1_5 as toys
from peer import difference, run_script, store


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr(layout, "BASE", toys.BASE)


def acted(folder, seen, noise):
    """Hidden states and normalised state that the head reads, its first velocity and the actions, all as arrays."""
    policy, _, _ = checkpoint.load_policy(folder)
    decoder = policy.decoder
    with torch.no_grad():
        context = policy.context(seen)
        features = torch.cat([context.groups[name].tokens for name in decoder.velocity.read], dim=1)
        state = torch.nn.functional.pad(context.groups["state"].tokens, (0, 4))
        begin, condition = torch.from_numpy(noise), decoder.velocity.condition(context)
        velocity = -decoder.velocity(condition, begin, torch.ones(len(noise)))
        actions = decoder.from_noise(context, begin)
    return {"features": features, "state": state, "velocity": velocity, "actions": actions}


def sized(seen, policy_folder):
    """Sentences as long as the prompt has room, so that nothing is padding: the program looks at padding too."""
    spec = checkpoint.read_card(policy_folder).policy
    room = spec.config.vlm.text.length - len(spec.config.vlm.text.template.replace("{instruction}", ""))
    return replace(seen, instruction=tuple((text * room)[:room] for text in ("lift it ", "push the cup ")))


def test_heads_agree_both_ways(tmp_path):
    toys.stored(tmp_path / "ours")
    seen = sized(invent_observation(toys.BODY, 2), tmp_path / "ours")
    first, second = tmp_path / "first", tmp_path / "second"
    for place in (first, second):
        place.mkdir()
    weights.hand_out(tmp_path / "ours", first / "theirs", "groot_n1_5")
    noise = np.random.default_rng(0).normal(size=(2, 5, 6)).astype(np.float32)
    known = acted(tmp_path / "ours", seen, noise)  # the reader is the same before and after
    inputs = {"noise": noise, "body": np.array([24, 24])}
    inputs |= {name: known[name].numpy() for name in ("features", "state")}
    for place in (first, second):
        np.savez(place / "inputs.npz", **inputs)
    run_script("peer_groot.py", {"write": True}, first)
    theirs = dict(np.load(first / "outputs.npz"))
    weights.bring_in(first / "theirs", tmp_path / "back", toys.BODY)
    ours = acted(tmp_path / "back", seen, noise)
    weights.hand_out(tmp_path / "back", second / "theirs", "groot_n1_5")
    run_script("peer_groot.py", {"write": False}, second)
    again = dict(np.load(second / "outputs.npz"))
    before, after = (load_file(place / "theirs" / "model.safetensors") for place in (first, second))
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert np.abs(known["velocity"].numpy() - theirs["velocity"]).max() > 0.1, "the peer's weights are its own"
    found = {
        "velocity_brought_in": difference(ours["velocity"], theirs["velocity"]),
        "actions_brought_in": difference(ours["actions"], theirs["actions"][..., : ours["actions"].shape[-1]]),
        "actions_handed_out": difference(again["actions"], theirs["actions"]),
    }
    store("parity_groot_n1_5.json", {
        "peer": "lerobot 0.6.1: its DiT, self-attention, state and action encoders of GR00T, put in N1.5's order",
        "largest_absolute_difference": found,
        "tolerance": 1e-4,
        "precision": "float32",
        "command": "EMBODIA_STORE_RESULTS=1 python -m pytest tests/parity/test_parity_groot_n1_5.py",
        "versions": {"torch": version("torch"), "lerobot": "0.6.1"},
        "seed": 3,
        "notes": "random weights, toy size, 4 Euler steps, given hidden states; the reader that gives them is compared "
        "with transformers' SigLIP and Qwen3 in tests/unit/weights/test_weights_groot_n1_5.py; no tensor is lost",
    })  # fmt: skip
    assert max(found.values()) <= 1e-4, found
