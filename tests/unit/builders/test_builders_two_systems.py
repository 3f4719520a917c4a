"""Two systems learn together through a link and not through a cut one; what they share is wired as said."""

import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
from bodies import gripper_arm, statistics

from embodia.builders.two_systems import (
    LowerConfig,
    RatesConfig,
    SystemsConfig,
    lower_encoders,
    lower_waypoints,
    small_systems,
    tiny_systems,
    units,
    upper_model,
    upper_system,
)
from embodia.core.errors import ConfigError, ShapeError
from embodia.core.specs import ActionPart, ActionSpec, Contract, ObservationSpec, StatePart
from embodia.core.types import ActionChunk, Batch, Observation, TokenGroup
from embodia.nn.normalize import Normalizer
from embodia.parts.compose import Composition, Context, Inference, Parts
from embodia.parts.decoders.dit import DitConfig
from embodia.parts.decoders.flow import FlowConfig, FlowDecoder
from embodia.parts.decoders.memory_dit import MemoryDit
from embodia.parts.decoders.pooled import PooledConfig, PooledRegression
from embodia.parts.encoders.state import StateToken
from embodia.parts.links.pool import PoolLink
from embodia.parts.links.text import TextLink
from embodia.parts.links.tokens import TokenLink
from embodia.parts.upper import Upper

WORDS = ("left", "right", "up", "down")
GOALS = torch.tensor([[-0.8, 0.0], [0.8, 0.0], [0.0, 0.8], [0.0, -0.8]])
ARM = gripper_arm()
BODY = Contract(
    observation=ObservationSpec(cameras=(), state=(StatePart(name="where", dim=2),), rate_hz=10),
    action=ActionSpec(parts=(ActionPart(name="go", dim=2, representation="joint_delta"),), rate_hz=10, chunk=3),
    embodiment="dot",
)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


class Hears(nn.Module):
    """The instruction as a learned token; it does not know where the dot is."""

    def __init__(self, width):
        super().__init__()
        self.table = nn.Embedding(len(WORDS), width)

    def forward(self, observation):
        ids = torch.tensor([WORDS.index(text) for text in observation.instruction])
        return TokenGroup(name="say", tokens=self.table(ids)[:, None], mask=None, attends_to=("say",))


class Watches(nn.Module):
    """The state of the moment it is given, as a token."""

    def __init__(self, width):
        super().__init__()
        self.layer = nn.Linear(2, width)

    def forward(self, observation):
        return TokenGroup(name="seen", tokens=self.layer(observation.state), mask=None, attends_to=("seen",))


def dot(link, *, stale=0, every=1, above=("say",)):
    """A dot that is told a goal above and sees where it is below: action = goal - where."""
    torch.manual_seed(0)
    encoders = {"say": Hears(12), "seen": Watches(12)}
    upper = Upper({name: encoders[name] for name in above}, link, every=every, stale=stale)
    head = PooledConfig(hidden=(48,))
    brought = "latent" if isinstance(link, PoolLink) else "upper"
    read = ("state", brought)
    parts = Parts(
        encoders={"state": StateToken(2, 12)},
        upper=upper,
        decoder=PooledRegression(head, 12, 2, 3, read=read, tokens=1 + len(above) if brought == "upper" else 2),
        state=Normalizer(2, "identity", None),
        action=Normalizer(2, "identity", None),
        inference=Inference(execute=1),
    )
    return Composition(BODY, parts)


def experience(size=64, history=1, seed=0):
    numbers = rng(seed)
    goal = torch.randint(4, (size,), generator=numbers)
    where = torch.rand(size, history, 2, generator=numbers) - 0.5
    actions = (GOALS[goal] - where[:, -1])[:, None].expand(-1, 3, -1)
    seen = Observation(state=where, instruction=tuple(WORDS[index] for index in goal))
    chunk = ActionChunk(actions=actions, valid=torch.ones(size, 3, dtype=torch.bool), spec=BODY.action)
    return Batch(observation=seen, chunk=chunk)


def trained(policy, steps=200):
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
    for step in range(steps):
        optimizer.zero_grad()
        policy.loss(experience(seed=step, history=policy.history), rng(step))[0].backward()
        optimizer.step()
    with torch.no_grad():
        return float(policy.loss(experience(256, policy.history, seed=999), rng())[0])


@pytest.mark.parametrize("kind", [PoolLink, TokenLink])
def test_a_goal_is_learned_through_the_link(kind):
    assert trained(dot(kind(12, 12, read=("say",)))) < 0.08


@pytest.mark.parametrize("kind", [PoolLink, TokenLink])
def test_nothing_is_learned_through_a_cut_link(kind):
    policy = dot(kind(12, 12, read=("say",), cut=True))
    before = policy.upper.encoders["say"].table.weight.clone()
    trained(policy, steps=20)
    assert torch.equal(policy.upper.encoders["say"].table.weight, before)


def test_a_system_trained_with_stale_messages_does_not_trust_what_ages():
    """The upper system also sends where the dot was, which is worth reading only while messages are fresh."""
    wrong = {}
    for stale in (0, 3):
        policy = dot(TokenLink(12, 12, read=("say", "seen")), stale=stale, above=("say", "seen"))
        policy.encoders["state"].project.weight.data.mul_(0.1)  # its own sight is dim at first
        trained(policy, steps=120)
        asked = experience(128, policy.history, seed=5)
        elsewhere = torch.rand(128, policy.history, 2, generator=rng(8)) - 0.5
        with torch.no_grad():
            message = policy.upper.speak(replace(asked.observation, state=elsewhere), None)
            groups, _ = policy._encode(policy._own(asked.observation), message)
            wrong[stale] = float((policy.decoder(Context(groups=groups)) - asked.chunk.actions).abs().mean())
    assert wrong[3] < 0.7 * wrong[0]


def test_the_newest_message_is_asked_for_at_the_upper_rate():
    policy = dot(PoolLink(12, 12, read=("say",)), every=3)
    seen, carry, asked = experience(2).observation, None, []
    for turn in range(7):
        words = (WORDS[turn % 4],) * 2
        _, carry = policy.act(replace(seen, instruction=words), carry, None)
        asked.append(carry.message.arrays["latent"].clone())
    assert [torch.equal(a, b) for a, b in pairwise(asked)] == [True, True, False, True, True, False]


def test_rates_that_cannot_be_are_refused():
    link = PoolLink(12, 12, read=("say",))
    for wrong in ({"every": 0}, {"stale": -1}, {"spoken": True}):
        with pytest.raises(ConfigError):
            Upper({}, link, **wrong)
    assert not list(TextLink().parameters())


def test_an_upper_decoder_learns_beside_the_lower_one():
    torch.manual_seed(0)
    above = PooledRegression(PooledConfig(hidden=(8,)), 12, 2, 3, read=("say",), tokens=1)
    upper = Upper({"say": Hears(12)}, PoolLink(12, 12, read=("say",)), decoder=above)
    message, terms = upper.teach(experience(4), None)
    assert set(terms) == {"upper_l1"} and terms["upper_l1"].shape == (4,)
    assert message.arrays["latent"].shape == (4, 12)


def test_the_lower_system_is_deaf_unless_told_otherwise():
    deaf, hearing = (lower_encoders(LowerConfig(width=32, hears=hears), ARM.observation) for hears in (False, True))
    assert set(deaf) == {"image", "state"} and set(hearing) == {"image", "state", "language"}
    assert deaf["image"].words is None and hearing["image"].words is not None


def test_waypoints_read_what_the_message_brings():
    config = LowerConfig(width=32, ahead=(4, 8))
    encoders = lower_encoders(config, ARM.observation)
    made = lower_waypoints(config, ARM.observation, encoders, {"plan": 3})
    assert made.read == ("image", "state", "plan") and made.ahead == (4, 8)
    assert made.estimate[0].normalized_shape == (32 * (encoders["image"].tokens + 1 + 3),)
    assert lower_waypoints(replace(config, ahead=()), ARM.observation, encoders, {}) is None


def test_readouts_see_the_senses_and_are_seen_by_nobody_before_them():
    encoders, model = upper_model(tiny_systems().upper, ARM.observation, {"first": 2, "second": 1})
    assert list(encoders) == ["image", "language", "first", "second"]
    assert model.attention["image"] == ("image", "language")
    assert model.attention["first"] == ("image", "language", "first")
    assert model.attention["second"] == ("image", "language", "first", "second")


def test_systems_bring_their_rates_and_units():
    systems = replace(small_systems("min_max"), rates=RatesConfig(every=3, stale=5, execute=2))
    assert isinstance(systems, SystemsConfig)
    upper = upper_system(systems, {}, nn.Identity(), PoolLink(4, 4, read=("say",)))
    assert (upper.every, upper.stale) == (3, 5)
    assert systems.rates.inference(7).execute == 2 and systems.rates.inference(7).steps == 7
    state, action = units(ARM, "min_max", statistics(ARM))
    assert state.do(torch.tensor([1.1, 1.2, 1.3, 1.4])).tolist() == pytest.approx([1.0] * 4, abs=1e-5)
    assert action.undo(torch.zeros(4)).tolist() == pytest.approx([0.0] * 4, abs=1e-5)


def test_a_memory_transformer_is_a_velocity_field_with_a_density():
    torch.manual_seed(0)
    net = MemoryDit(DitConfig(width=16, depth=1, heads=2, time_scale=1000.0), 2, 3)
    flow = FlowDecoder(net, FlowConfig(steps=4), 2, 3)
    tokens = torch.randn(2, 4, 16, generator=rng())
    context = Context(groups={"say": TokenGroup(name="say", tokens=tokens, mask=None, attends_to=("say",))})
    chunk = replace(experience(2).chunk)
    assert flow.loss_terms(context, chunk, rng())["flow"].shape == (2,)
    assert torch.isfinite(flow.log_prob(context, chunk)).all()
    draws = flow.sample(context, rng(), n=3, prefix=torch.full((2, 1, 2), 0.3))
    assert draws.shape == (2, 3, 3, 2) and torch.allclose(draws[:, :, 0], torch.full((2, 3, 2), 0.3), atol=1e-6)


def test_a_link_that_reads_what_is_not_there_says_so():
    with pytest.raises(KeyError):
        PoolLink(12, 12, read=("missing",)).emit({})
    with pytest.raises(ShapeError):
        StateToken(2, 4)(Observation(instruction=("left",)))
