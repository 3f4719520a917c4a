"""Thinking before acting, listening to a slower system, other heads, parts that must see actions first."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from embodia.core.errors import ConfigError
from embodia.core.invent import invent_batch, invent_observation
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.types import ActionChunk, Message, TokenGroup
from embodia.nn.normalize import Normalizer
from embodia.nn.transformer import TransformerConfig
from embodia.parts.acting import Carry, Inference
from embodia.parts.backbones.prefix import PrefixModel
from embodia.parts.compose import Composition, Parts, chunked
from embodia.parts.context import Context
from embodia.parts.encoders.state import StateToken
from embodia.parts.upper import Upper

PART = ActionPart(name="move", dim=2, representation="joint_delta")
BODY = Contract(
    observation=ObservationSpec(
        cameras=(CameraSpec(name="front", height=8, width=8),), state=(StatePart(name="joint", dim=3),), rate_hz=10
    ),
    action=ActionSpec(parts=(PART,), rate_hz=10),
    embodiment="toy",
)


class Words(nn.Module):
    """An encoder that says how many letters the instruction has."""

    def forward(self, observation):
        numbers = torch.tensor([[[float(len(text))] * 4] for text in observation.instruction])
        return TokenGroup(name="words", tokens=numbers, mask=None, attends_to=("words",))


class Newest(nn.Module):
    """An encoder that hands on the first number of the newest state."""

    def forward(self, observation):
        return TokenGroup(
            name="slow", tokens=observation.state[:, -1:, :1].expand(-1, 1, 4), mask=None, attends_to=("slow",)
        )


class Counting(nn.Module):
    """A thought that numbers what it says."""

    def __init__(self):
        super().__init__()
        self.said = 0

    def teach(self, context, answers):
        return context, {"words": torch.tensor([float(len(answer)) for answer in answers])}

    def speak(self, context, rng, said=()):
        if said:
            return context, tuple(said)
        self.said += 1
        return context, (f"thought {self.said}",) * len(next(iter(context.groups.values())).tokens)


class Line(nn.Module):
    """A link whose message is the upper group itself."""

    rate_hz = 1.0

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def emit(self, upper):
        return Message(arrays={"slow": upper["slow"].tokens * self.gain})

    def absorb(self, groups, message):
        tokens = message.arrays["slow"]
        return {**groups, "heard": TokenGroup(name="heard", tokens=tokens, mask=None, attends_to=("heard",))}


class Echo(nn.Module):
    """A decoder whose every action is the mean of the groups' first numbers."""

    def __init__(self, chunk=4):
        super().__init__()
        self.chunk, self.bias = chunk, nn.Parameter(torch.zeros(2))

    def forward(self, context):
        first = torch.stack([group.tokens[:, 0, 0] for group in context.groups.values()], 1).sum(1)
        return first[:, None, None].expand(-1, self.chunk, 2) * 0.01 + self.bias

    def loss_terms(self, context, chunk, rng):
        return {"l2": (self(context) - chunk.actions).square().mean((1, 2))}

    def sample(self, context, rng, n=1, steps=None, prefix=None):
        return self(context)[:, None].expand(-1, n, -1, -1)


def plain(dim):
    return Normalizer(dim, "mean_std", None)


def policy(**parts):
    given = {"encoders": {"words": Words()}, "decoder": Echo(), "state": plain(3), "action": plain(2)}
    return Composition(chunked(BODY, 4), Parts(**{**given, **parts}))


def batch(model, size=3):
    made = invent_batch(model.contract, size, history=model.history, later=len(model.later))
    return made.map(torch.from_numpy)


def test_a_thought_is_taught_with_the_answers():
    model = policy(thought=Counting())
    terms = model.loss_terms(batch(model), None)
    assert terms["words"].tolist() == [19.0, 15.0, 0.0]


def test_a_thought_holds_for_as_many_decisions_as_configured():
    model, carry, said = policy(thought=Counting(), inference=Inference(think_every=3)), None, []
    seen = invent_observation(BODY, 2)
    for _ in range(7):
        _, carry = model.act(seen, carry, None)
        said.append(carry.thought[0])
    assert said == ["thought 1"] * 3 + ["thought 2"] * 3 + ["thought 3"]


def test_a_policy_without_memory_carries_nothing():
    assert policy().act(invent_observation(BODY, 2), None, None)[1] is None


def test_a_message_holds_between_two_looks_of_the_slower_system():
    model, carry, found = policy(upper=Upper({"slow": Newest()}, Line(), every=2)), None, []
    for moment in range(4):
        seen = replace(invent_observation(BODY, 1), state=np.full((1, 1, 3), float(moment), np.float32))
        _, carry = model.act(seen, carry, None)
        found.append(float(carry.message.arrays["slow"][0, 0, 0]))
    assert isinstance(carry, Carry) and carry.decisions == 4
    assert found == [0.0, 0.0, 2.0, 2.0]


def test_in_training_a_message_is_up_to_stale_steps_old_and_learns():
    model = policy(upper=Upper({"slow": Newest()}, Line(), stale=3))
    assert model.history == 4
    made = batch(model, 64)
    state = torch.arange(4.0)[None, :, None].expand(64, 4, 3)
    made = replace(made, observation=replace(made.observation, state=state))
    message, _ = model.upper.teach(model.normalize_batch(made), torch.Generator().manual_seed(0))
    assert set(message.arrays["slow"][:, 0, 0].tolist()) == {0.0, 1.0, 2.0, 3.0}
    model.loss(made, torch.Generator().manual_seed(0))[0].backward()
    assert model.upper.link.gain.grad is not None


def test_a_spoken_text_takes_the_place_of_the_instruction():
    model = policy(upper=Upper({"slow": Newest()}, Line(), thought=Counting(), spoken=True))
    model.decoder.bias.data.zero_()
    seen = replace(invent_observation(BODY, 1), state=np.zeros((1, 1, 3), np.float32))
    chunk, _ = model.act(seen, None, None)
    assert chunk.actions[0, 0, 0] == pytest.approx(0.01 * len("thought 1"))
    made = batch(model)
    message, terms = model.upper.teach(model.normalize_batch(made), None)
    assert message.text == (*made.answer[:2], made.observation.instruction[2])
    assert terms["upper_words"].shape == (3,)


def test_an_upper_system_that_cannot_be_meant_is_refused():
    with pytest.raises(ConfigError, match="age"):
        Upper({"slow": Newest()}, Line(), every=0)
    with pytest.raises(ConfigError, match="nothing says it"):
        Upper({"slow": Newest()}, Line(), spoken=True)


def test_heads_see_what_comes_later_in_network_units():
    class Head(nn.Module):
        def loss_terms(self, context, batch, rng):
            return {"later": batch.later.state.mean((1, 2)), "seen": context.groups["words"].tokens[:, 0, 0]}

    model = policy(heads={"head": Head()}, later=(2, 5))
    made = batch(model)
    assert made.later.images["front"].shape == (3, 2, 8, 8, 3)
    terms = model.loss_terms(made, None)
    assert terms["later"].shape == (3,)
    assert terms["seen"].tolist() == [float(len(text)) for text in made.observation.instruction]


def test_parts_that_must_see_actions_see_them_normalised():
    class Clusters(Echo):
        def __init__(self):
            super().__init__()
            self.register_buffer("centre", torch.zeros(2))

        def fit(self, actions):
            self.centre.copy_(actions.mean((0, 1)))

    assert not policy().must_fit
    model = policy(decoder=Clusters())
    assert model.must_fit
    model.fit(torch.full((5, 4, 2), 0.5))
    assert model.decoder.centre.tolist() == [0.5, 0.5]


def test_a_context_repeats_and_reads_on_only_behind_a_cache():
    torch.manual_seed(0)
    sizes = TransformerConfig(width=16, depth=2, heads=2, kv_heads=1, head_dim=8, mlp_width=32)
    model = PrefixModel(sizes, {"state": ("state",)})
    observation = replace(invent_observation(BODY, 2).map(torch.from_numpy), instruction=())
    groups = {"state": StateToken(3, 16)(observation)}
    read, cache = model(groups)
    context = Context(groups=read, cache=cache, backbone=model)
    assert context.repeat(3).cache.mask.shape[0] == 6
    assert len(context.repeat(3).groups["state"].tokens) == 6
    assert context.cache is cache
    with pytest.raises(ConfigError, match="cache"):
        Context(groups=read).extend(groups)


def test_chunks_of_pure_language_have_no_action_loss():
    model = policy()
    made = batch(model)
    silent = ActionChunk(actions=made.chunk.actions, valid=torch.zeros(3, 4, dtype=torch.bool), spec=made.chunk.spec)
    normalised = model.normalize_chunk(silent)
    assert not normalised.valid.any() and torch.isfinite(normalised.actions).all()
