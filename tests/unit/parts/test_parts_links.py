"""Links: what crosses, what gradients do, boxes and masks by hand, tools, rates and ages of messages."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
from bodies import gripper_arm, statistics

from embodia.core.errors import ConfigError
from embodia.core.invent import invent_batch, invent_observation
from embodia.core.protocols import Link
from embodia.core.types import Message, TokenGroup
from embodia.nn.shared import Shared
from embodia.nn.transformer import Transformer, TransformerConfig
from embodia.parts.compose import Context
from embodia.parts.decoders.dit import DitConfig
from embodia.parts.decoders.memory_dit import MemoryDit
from embodia.parts.decoders.pooled import PooledConfig, PooledRegression
from embodia.parts.links.goal import GoalLink
from embodia.parts.links.ground import GroundLink
from embodia.parts.links.joined import JoinedLinks
from embodia.parts.links.pool import PoolLink
from embodia.parts.links.shared import SharedBlocks
from embodia.parts.links.text import TextLink
from embodia.parts.links.tokens import TokenLink
from embodia.parts.links.tool import Tool, ToolLink
from embodia.parts.links.traj import TrajectoryLink
from embodia.parts.upper import Upper
from embodia.policies import PolicySpec, make

TOOLS = (Tool(name="push", description="push it"), Tool(name="lift", description="lift it"))


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def group(name, count=3, width=8, batch=2, mask=None, seed=0):
    tokens = torch.randn(batch, count, width, generator=rng(seed)).requires_grad_()
    return TokenGroup(name=name, tokens=tokens, mask=mask, attends_to=(name,))


def describe(sentences, like):
    return torch.eye(4)[: len(sentences)].to(like)


def links():
    torch.manual_seed(0)
    course = PooledRegression(PooledConfig(hidden=(8,)), 8, 2, 6, read=("say",), tokens=3)
    return {
        "pool": PoolLink(8, 6, read=("say",)),
        "tokens": TokenLink(8, 6, read=("say",), name="plan", count=3),
        "traj": TrajectoryLink(Shared(course), 6, 2, 6, cut=False),
        "ground": GroundLink(8, 6, 2, read="say"),
        "tool": ToolLink(8, 6, TOOLS, describe, vector=4, read="say"),
        "goal": GoalLink(8, 6, read="say", rows=1, columns=3, patch=2),
        "text": TextLink(),
    }


@pytest.mark.parametrize("name", list(links()))
def test_a_message_is_arrays_and_text_and_carries_gradients(name):
    link, upper = links()[name], {"say": group("say")}
    assert isinstance(link, Link) and link.rate_hz > 0
    message = link.emit(upper)
    assert isinstance(message, Message)
    assert all(isinstance(array, torch.Tensor) and len(array) == 2 for array in message.arrays.values())
    found = link.absorb({"image": group("image", 4, 6)}, message)
    assert "image" in found
    if name == "text":
        assert set(found) == {"image"} and not message.arrays
        return
    sum(item.tokens.sum() for item in found.values()).backward()
    assert upper["say"].tokens.grad is not None and upper["say"].tokens.grad.abs().sum() > 0


def test_a_message_survives_a_process_boundary():
    link, upper = links()["tokens"], {"say": group("say")}
    message = link.emit(upper)
    crossed = Message(arrays={k: torch.from_numpy(v.detach().numpy().copy()) for k, v in message.arrays.items()})
    here, there = link.absorb({}, message)["plan"], link.absorb({}, crossed)["plan"]
    assert torch.equal(here.tokens, there.tokens) and torch.equal(here.mask, there.mask)


@pytest.mark.parametrize(
    "build", [lambda cut: PoolLink(8, 6, read=("say",), cut=cut), lambda cut: TokenLink(8, 6, read=("say",), cut=cut)]
)
def test_a_cut_link_stops_the_gradient(build):
    for cut in (False, True):
        upper = {"say": group("say")}
        link = build(cut)
        found = link.absorb({}, link.emit(upper))
        assert next(iter(found.values())).tokens.requires_grad is not cut


def test_pools_see_real_tokens_only():
    mask = torch.tensor([[True, True, False], [True, False, False]])
    for pool in ("mean", "attention"):
        link = PoolLink(8, 6, read=("say",), pool=pool)
        upper = group("say", mask=mask)
        before = link.emit({"say": upper}).arrays["latent"]
        changed = torch.where(mask[..., None], upper.tokens, torch.full((), 50.0))
        after = link.emit({"say": replace(upper, tokens=changed)}).arrays["latent"]
        assert torch.allclose(before, after)
    mean = PoolLink(8, 6, read=("say",))._pooled(upper.tokens, mask)
    assert torch.allclose(mean[0], upper.tokens[0, :2].mean(0)) and torch.allclose(mean[1], upper.tokens[1, 0])


def test_film_begins_as_the_identity_and_leaves_other_groups_alone():
    link = PoolLink(8, 6, read=("say",), film=("image",), token=False)
    groups = {"image": group("image", 4, 6), "state": group("state", 1, 6)}
    message = link.emit({"say": group("say")})
    assert torch.equal(link.absorb(groups, message)["image"].tokens, groups["image"].tokens)
    nn.init.constant_(link.films["image"].bias[:6], 1.0)
    found = link.absorb(groups, message)
    assert torch.allclose(found["image"].tokens, 2 * groups["image"].tokens)
    assert found["state"] is groups["state"] and "latent" not in found


def test_a_box_is_inside_the_picture_and_marks_its_cells():
    link = GroundLink(8, 6, 1, read="say", grids=[(4, 5)], softness=0.01)
    boxes = link.emit({"say": group("say")}).arrays["boxes"]
    assert boxes.shape == (2, 1, 4) and (boxes > 0).all() and (boxes < 1).all() and (boxes[..., 2:] < 0.5).all()
    mask = link.mask(torch.tensor([[0.3, 0.625, 0.11, 0.13]]), 4, 5).view(4, 5)
    expected = torch.zeros(4, 5)
    expected[2, 1] = 1.0
    assert torch.allclose(mask, expected, atol=1e-3)
    image = group("image", 20, 6)
    message = Message(arrays={"boxes": torch.tensor([[[0.3, 0.625, 0.11, 0.13]]]).expand(2, -1, -1)})
    change = link.absorb({"image": image}, message)["image"].tokens - image.tokens
    assert torch.allclose(change[:, 11], link.inside.expand(2, -1), atol=1e-2)
    assert change[:, [0, 10, 12, 6, 16]].abs().max() < 1e-2


def test_a_trajectory_is_thinned_to_waypoints():
    torch.manual_seed(0)
    course = PooledRegression(PooledConfig(hidden=(8,)), 8, 2, 6, read=("say",), tokens=3)
    link, upper = TrajectoryLink(Shared(course), 6, 2, 5, every=2), {"say": group("say")}
    found = link.emit(upper).arrays["trajectory"]
    assert torch.allclose(found, course(Context(groups=upper))[:, 1::2])
    assert not found.requires_grad
    assert link.absorb({}, Message(arrays={"trajectory": found}))["trajectory"].tokens.shape == (2, 3, 5)
    assert not any("decoder" in name for name, _ in link.named_parameters())


def test_a_call_is_hard_and_learns_softly():
    link = links()["tool"]
    upper = {"say": group("say")}
    message = link.emit(upper)
    assert torch.allclose(message.arrays["call"].sum(-1), torch.ones(2))
    assert set(message.arrays["call"].detach().round(decimals=5).flatten().tolist()) <= {0.0, 1.0}
    with torch.no_grad():
        link.ask[1].weight.zero_()
        link.ask[1].bias.copy_(torch.tensor([0.0, 5.0, 0.0, 0.0]))
    called = link.called(link.emit(upper))
    assert [tool.name for tool in called] == ["lift", "lift"]
    token = link.absorb({}, link.emit(upper))["tool"].tokens[:, 0]
    assert torch.allclose(token, link.skills[1].expand(2, -1), atol=1e-5)


def test_a_goal_is_a_picture_whose_patches_come_back():
    link = links()["goal"]
    message = link.emit({"say": group("say")})
    assert message.arrays["goal"].shape == (2, 3, 2, 6)
    assert message.arrays["goal"].abs().max() <= 1
    painted = link.paint(group("say").tokens).tanh()
    assert torch.allclose(link.absorb({}, message)["goal"].tokens, link.look(painted), atol=1e-6)


def test_joined_links_keep_their_names_apart():
    first, second = TokenLink(8, 6, read=("say",), name="a"), TokenLink(8, 6, read=("say",), name="b", rate_hz=2.0)
    both = JoinedLinks(first, second)
    assert both.rate_hz == 2.0
    assert set(both.absorb({}, both.emit({"say": group("say")}))) == {"a", "b"}
    with pytest.raises(ConfigError, match="two links"):
        JoinedLinks(first, first).emit({"say": group("say")})


def test_shared_blocks_are_the_last_layers_and_are_not_owned():
    config = TransformerConfig(width=16, depth=3, heads=2, kv_heads=2, head_dim=8, mlp_width=24)
    torch.manual_seed(0)
    net = Transformer(config)
    blocks = SharedBlocks(Shared(net), 1)
    assert not list(blocks.parameters())
    groups = {"image": group("image", 3, 16), "plan": group("plan", 2, 16, seed=1)}
    found, _ = blocks(groups)
    tokens = torch.cat([groups["image"].tokens, groups["plan"].tokens], dim=1)
    table, mask = net.plan(_joined(groups), None)
    expected = net.norm(net.layers[2](tokens, table, mask, None)[0])
    assert torch.allclose(torch.cat([found["image"].tokens, found["plan"].tokens], dim=1), expected, atol=1e-6)
    assert found["image"].attends_to == ("image", "plan")


def _joined(groups):
    from embodia.nn.groups import concatenate

    return concatenate([replace(item, attends_to=tuple(groups)) for item in groups.values()])


def test_the_lower_system_hears_the_words_or_else_the_instruction():
    instead = Upper({}, TextLink(), thought=nn.Identity(), spoken=True)
    assert instead._heard(("open it", ""), ("tidy", "push")) == ("open it", "push")
    assert instead._heard((), ("tidy", "push")) == ("tidy", "push")
    beside = Upper({}, TextLink(), thought=nn.Identity(), spoken=True, beside=True)
    assert beside._heard(("open it", ""), ("tidy", "push")) == ("tidy: open it", "push")
    assert beside._heard((), ("tidy", "push")) == ("tidy", "push")
    assert Upper({}, TextLink())._heard(("open it",), ("tidy",)) == ()


def test_a_denoiser_reads_every_token_of_its_memory_once():
    torch.manual_seed(0)
    net = MemoryDit(DitConfig(width=16, depth=2, heads=2), 3, 4, memory=6)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.2)
    mask = torch.tensor([[True, True, True, False]]).expand(2, -1)
    image = group("image", 4, 6, mask=mask)
    context = Context(groups={"image": image, "plan": group("plan", 2, 6)})
    noisy, time = torch.randn(2, 4, 3, generator=rng(1)), torch.tensor([3.0, 80.0])
    out = net(net.condition(context), noisy, time)
    assert out.shape == (2, 4, 3)
    out.sum().backward()
    reached = image.tokens.grad.abs().sum(-1) > 0
    assert torch.equal(reached, mask)
    twice = net(net.condition(context, 2), noisy.repeat_interleave(2, 0), time.repeat_interleave(2, 0))
    assert torch.allclose(twice[::2], out, atol=1e-5) and torch.allclose(twice[1::2], out, atol=1e-5)


class Clock(nn.Module):
    """The moment seen, as a token: the state of the one step it is given."""

    def forward(self, observation):
        assert observation.state.shape[1] == 1
        return TokenGroup(name="say", tokens=observation.state, mask=None, attends_to=("say",))


def test_messages_are_up_to_as_old_as_said_and_each_row_has_its_own_age():
    body = gripper_arm()
    batch = invent_batch(replace(body, action=replace(body.action, chunk=4)), 400, history=4).map(torch.from_numpy)
    moments = torch.arange(4.0)[None, :, None].expand(400, 4, 4)
    batch = replace(batch, observation=replace(batch.observation, images={}, state=moments))
    upper = Upper({"clock": Clock()}, TokenLink(4, 4, read=("say",)), stale=2)
    upper.link.down = nn.Identity()
    message, terms = upper.teach(batch, rng())
    ages = 3 - message.arrays["upper"][:, 0, 0]
    assert terms == {}
    assert sorted(set(ages.tolist())) == [0.0, 1.0, 2.0]
    assert all(abs(float((ages == age).float().mean()) - 1 / 3) < 0.08 for age in range(3))
    assert (upper.speak(batch.observation, None).arrays["upper"][:, 0, 0] == 3).all()


def helix():
    body = gripper_arm()
    return make(PolicySpec(name="helix", size="tiny", contract=body), statistics(body), seed=0).eval()


def test_the_slow_system_looks_only_every_so_often():
    policy, body = helix(), gripper_arm()
    first = invent_observation(body, 1, history=policy.history, seed=0)
    second = invent_observation(body, 1, history=policy.history, seed=1)
    _, carry = policy.act(first, None, rng())
    held = carry.message.arrays["latent"]
    _, carry = policy.act(second, carry, rng())
    assert torch.equal(carry.message.arrays["latent"], held)
    _, carry = policy.act(second, carry, rng())
    assert not torch.equal(carry.message.arrays["latent"], held)


def test_gradients_cross_from_the_fast_system_into_the_slow_one():
    policy = helix().train()
    body = policy.contract
    batch = invent_batch(body, 2, history=policy.history, ahead=len(policy.ahead)).map(torch.from_numpy)
    policy.loss(batch, rng())[0].backward()
    silent = [n for n, p in policy.upper.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert not silent
    assert policy.upper.encoders["say"].tokens.grad.abs().sum() > 0


def test_the_fast_system_acts_on_the_newest_picture():
    policy, body = helix(), gripper_arm()
    seen = invent_observation(body, 1, history=policy.history, seed=0)
    _, carry = policy.act(seen, None, rng())
    base = policy.act(seen, carry, rng())[0].actions
    dark = replace(seen, images={name: np.zeros_like(image) for name, image in seen.images.items()})
    assert not np.allclose(base, policy.act(dark, carry, rng())[0].actions, atol=1e-6)
    deaf = replace(seen, instruction=("something else entirely",))
    assert np.allclose(base, policy.act(deaf, carry, rng())[0].actions, atol=1e-6)


def test_an_expert_behind_a_link_acts_as_in_one_process():
    """pi0 cut in two at its cache: the same weights give the same actions, and gradients reach the language model."""
    from embodia.parts.backbones.action_expert import ActionExpert
    from embodia.parts.backbones.language_model import LanguageModel
    from embodia.parts.links.kv import CACHE, CacheReader, KeyValueLink

    torch.manual_seed(0)
    sizes = TransformerConfig(width=16, depth=3, heads=2, kv_heads=2, head_dim=8, mlp_width=24)
    reader = LanguageModel(Transformer(sizes), {"image": ("image",)}, outputs=False)
    mask = torch.tensor([[True, True, True], [True, True, False]])
    image, state = group("image", 3, 16, mask=mask), group("state", 1, 16, seed=1)
    together = ActionExpert(sizes, 2, 4, {"state": ("image", "state"), "action": ("image", "state", "action")})
    apart = ActionExpert(sizes, 2, 4, {"state": (CACHE, "state"), "action": (CACHE, "state", "action")})
    apart.load_state_dict(together.state_dict())
    noisy, time = torch.randn(2, 4, 2, generator=rng(2)), torch.tensor([0.3, 0.8])
    groups, cache = reader({"image": image}, None)
    expected = together(together.condition(Context(groups={**groups, "state": state}, cache=cache)), noisy, time)
    upper = Upper({"image": Given(image)}, KeyValueLink(), backbone=reader)
    message = upper._message(upper._read(None), ())
    lower, received = CacheReader(2, 8)(upper.link.absorb({"state": state}, message), None)
    found = apart(apart.condition(Context(groups=lower, cache=received)), noisy, time)
    assert torch.allclose(found, expected, atol=1e-5)
    found.square().sum().backward()
    assert reader.engine.layers[0].attention.key.weight.grad.abs().sum() > 0
    assert not KeyValueLink(cut=True).emit({CACHE: group(CACHE, mask=mask)}).arrays[CACHE].requires_grad
    with pytest.raises(ConfigError, match="no cache"):
        KeyValueLink().emit({})


class Given(nn.Module):
    """An encoder that hands out one group whatever is seen."""

    def __init__(self, found):
        super().__init__()
        self.found = found

    def forward(self, observation):
        return self.found
