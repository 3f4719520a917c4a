"""Policies that speak: one builder, every way of saying actions, thoughts before them, and a step of learning each."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from embodia.builders.speaking import SpeakerConfig, SpeechConfig, speaker
from embodia.builders.vlm import TextConfig, VlmConfig
from embodia.core.errors import ConfigError
from embodia.core.invent import invent_batch
from embodia.nn.transformer import TransformerConfig
from embodia.parts.encoders.waypoints import END
from embodia.parts.thought import ThoughtConfig

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
from bodies import gripper_arm, statistics

ARM = gripper_arm()
MODEL = TransformerConfig(width=48, depth=2, heads=4, kv_heads=2, head_dim=12, mlp_width=64)
PIECES = TextConfig(kind="pieces", vocabulary=600, length=24, template="do {instruction} at {state}")
BASE = SpeakerConfig(chunk=4, vlm=VlmConfig(model=MODEL))


def made(config, seed=0):
    torch.manual_seed(seed)
    return speaker(ARM, config, statistics(ARM)).eval()


def batch(policy, size=3):
    found = invent_batch(policy.contract, size, ahead=len(policy.ahead), padded=False)
    return found.map(torch.from_numpy)


KINDS = {
    "bins": BASE,
    "fast": replace(BASE, speech=SpeechConfig(kind="fast", ids=300)),
    "numbers": replace(BASE, speech=SpeechConfig(kind="numbers")),
    "mapped bins": replace(
        BASE, vlm=replace(BASE.vlm, text=PIECES, causal=True), speech=SpeechConfig(ids=64, mapped=True, spared=5)
    ),
    "mapped numbers": replace(
        BASE, vlm=replace(BASE.vlm, text=PIECES), speech=SpeechConfig(kind="numbers", mapped=True, spared=3)
    ),
    "thinking": replace(BASE, thought=ThoughtConfig(length=12), answers="motion"),
    "thinking in pieces": replace(
        BASE, vlm=replace(BASE.vlm, text=PIECES), thought=ThoughtConfig(length=30), answers="motion"
    ),
    "ahead": replace(BASE, ahead=(4, END)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_way_learns_and_speaks(kind):
    policy = made(KINDS[kind])
    data = batch(policy)
    policy.fit(data.chunk.actions)
    optimizer = torch.optim.Adam(policy.parameters(), lr=3e-3)
    first = None
    for _ in range(12):
        loss, _ = policy.loss(data, torch.Generator().manual_seed(0))
        first = loss.item() if first is None else first
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.9 * first
    chunk, _ = policy.act(data.observation, None, torch.Generator().manual_seed(0))
    assert chunk.actions.shape == (3, 4, 4)


def test_mapped_bins_sit_at_the_end_of_the_vocabulary_backwards():
    policy = made(KINDS["mapped bins"])
    lowest = policy.decoder.tokenizer.encode(torch.full((1, 4, 4), -1.0))
    highest = policy.decoder.tokenizer.encode(torch.full((1, 4, 4), 1.0))
    assert set(lowest.flatten().tolist()) == {600 - 1 - 5}
    assert set(highest.flatten().tolist()) == {600 - 5 - 64}


def test_mapped_numbers_are_the_bytes_of_the_prompt():
    policy = made(KINDS["mapped numbers"])
    ids = policy.decoder.tokenizer.encode(torch.full((1, 4, 4), 0.5))[0]
    text = bytes(int(i) - 3 for i in ids if i >= 0).decode()
    assert text == ";".join(["0.50 0.50 0.50 0.50"] * 4)


def test_a_thought_changes_the_action_and_is_held_between_decisions():
    policy = made(replace(KINDS["thinking"], inference=replace(BASE.inference, think_every=2)))
    data = batch(policy)
    _, carry = policy.act(data.observation, None, None)
    assert len(carry.thought) == 3
    spoken = replace(carry, thought=("open the drawer",) * 3)
    _, held = policy.act(data.observation, spoken, None)
    assert held.thought == spoken.thought
    _, fresh = policy.act(data.observation, held, None)
    assert fresh.thought != spoken.thought


def test_the_prompt_tells_the_state():
    policy = made(KINDS["mapped bins"])
    data = batch(policy)
    moved = replace(data.observation, state=data.observation.state + 0.5)
    with torch.no_grad():
        before, after = (policy.context(one).cache.layers[-1][0] for one in (data.observation, moved))
    assert not torch.allclose(before, after)


def test_words_that_do_not_exist_cannot_be_said():
    with pytest.raises(ConfigError, match="without words"):
        speaker(ARM, replace(BASE, speech=SpeechConfig(mapped=True)))
    with pytest.raises(ConfigError, match="ahead|sentence vector"):
        speaker(ARM, replace(BASE, vlm=replace(BASE.vlm, text=PIECES), ahead=(4,)))
