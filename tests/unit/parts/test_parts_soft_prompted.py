"""Soft prompts, the plain transformer behind them, and chunks restored: against mathematics written out here."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from embodia.core.errors import ConfigError, ShapeError
from embodia.core.specs import ActionPart, ActionSpec
from embodia.core.statistics import FeatureStatistics
from embodia.core.types import ActionChunk, Observation, TokenGroup
from embodia.nn.normalize import Normalizer
from embodia.parts.context import Context
from embodia.parts.decoders.clean import CleanConfig, CleanFlow
from embodia.parts.decoders.soft_prompted import SoftPrompted, SoftPromptedConfig
from embodia.parts.encoders.body import BodyIndex, SoftPrompts

NET = SoftPromptedConfig(
    width=16, depth=2, heads=4, hidden=24, bodies=3, prompts=2, time_width=6, positions=20, state_dim=5, dropout=0.0
)
HORIZON, DIM = 4, 6


def group(name, tokens, mask=None):
    return TokenGroup(name=name, tokens=tokens, mask=mask, attends_to=(name,))


def hand(name, gripper=True):
    parts = [
        ActionPart(name=f"{name}_place", dim=3, representation="ee_position", units="m"),
        ActionPart(name=f"{name}_turn", dim=6, representation="ee_rotation", rotation="rot6d", units="none"),
    ]
    grip = ActionPart(name=f"{name}_grip", dim=1, representation="gripper", polarity="positive_closes", low=0, high=1)
    return (*parts, grip) if gripper else tuple(parts)


HANDS = ActionSpec(parts=(*hand("left"), *hand("right")), rate_hz=10, chunk=HORIZON)


def context(body=1, mask=None, batch=2, prompts=None):
    torch.manual_seed(1)
    soft = torch.randn(batch, 2, 16) if prompts is None else prompts
    groups = {
        "image": group("image", torch.randn(batch, 3, 12)),
        "language": group("language", torch.randn(batch, 2, 12), mask),
        "views": group("views", torch.randn(batch, 4, 12)),
        "state": group("state", torch.randn(batch, 1, 4)),
        "body": group("body", torch.full((batch, 1, 1), float(body))),
        "prompt": group("prompt", soft),
    }
    return Context(groups=groups)


def net(**changes):
    torch.manual_seed(0)
    return SoftPrompted(replace(NET, **changes), ("image", "language"), 12, DIM, HORIZON).eval()


def written_out(model, seen, noisy, time, body):
    """The published forward pass, row by row, with one fused loop a block."""
    rows = []
    for row in range(len(noisy)):
        at = {name: item.tokens[row] for name, item in seen.groups.items()}
        state = F.pad(at["state"][-1], (0, model.config.state_dim - 4))
        state[list(model.config.blank)] = 0
        turns = time[row] * 100 ** (-torch.arange(3) / 3)
        beside = torch.cat([state, turns.cos(), turns.sin()]).expand(HORIZON, -1)
        x = torch.cat([noisy[row], beside], dim=-1) @ model.enter.weight[body] + model.enter.bias[body]
        read = torch.cat([at["image"], at["language"]])
        x = torch.cat([x, model.told(read), model.seen(at["views"])])
        x = torch.cat([x + model.position[: len(x)], at["prompt"]])
        for block in model.blocks.layers:
            normed = block.attention_norm(x)
            key, value = block.attention.key_value(normed).chunk(2, dim=-1)
            heads = [part.view(len(x), 4, 4).transpose(0, 1) for part in (block.attention.query(normed), key, value)]
            weights = (heads[0] @ heads[1].transpose(1, 2) / 2).softmax(-1)
            x = x + block.attention.out((weights @ heads[2]).transpose(0, 1).reshape(len(x), 16))
            x = x + block.mlp.down(F.gelu(block.mlp.up(block.mlp_norm(x)), approximate="tanh"))
        rows.append(model.norm(x[:HORIZON]) @ model.leave.weight[body] + model.leave.bias[body])
    return torch.stack(rows)


def test_the_network_is_the_published_one():
    model, seen = net(blank=(1, 4)), context(body=2)
    noisy, time = torch.randn(2, HORIZON, DIM), torch.tensor([0.3, 1.0])
    with torch.no_grad():
        found = model(model.condition(seen), noisy, time)
        expected = written_out(model, seen, noisy, time, 2)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_bodies_differ_at_the_edges_and_prompts_between():
    model, noisy, time = net(), torch.randn(2, HORIZON, DIM), torch.rand(2)
    first, second = (model(model.condition(context(body=body)), noisy, time) for body in (0, 1))
    assert not torch.allclose(first, second)
    other = model(model.condition(context(body=0, prompts=torch.randn(2, 2, 16))), noisy, time)
    assert not torch.allclose(first, other)


def test_samples_of_an_entry_are_adjacent_rows():
    model, noisy, time = net(), torch.randn(6, HORIZON, DIM), torch.rand(6)
    together = model(model.condition(context(), 3), noisy, time)
    single = model.condition(context())
    alone = torch.cat([model(single, noisy[[i, 3 + i]], time[[i, 3 + i]]) for i in range(3)])
    torch.testing.assert_close(together, alone[[0, 2, 4, 1, 3, 5]], atol=1e-5, rtol=1e-4)


def test_padded_words_are_not_looked_at():
    mask = torch.tensor([[True, True], [True, False]])
    model, noisy, time = net(), torch.randn(2, HORIZON, DIM), torch.rand(2)
    seen = context(mask=mask)
    before = model(model.condition(seen), noisy, time)
    seen.groups["language"].tokens[1, 1] += 5
    torch.testing.assert_close(model(model.condition(seen), noisy, time), before)
    seen.groups["language"].tokens[0, 1] += 5
    assert not torch.allclose(model(model.condition(seen), noisy, time)[0], before[0])


def test_what_is_seen_may_enter_by_body():
    model, noisy, time = net(by_body=True), torch.randn(2, HORIZON, DIM), torch.rand(2)
    seen = context(body=1)
    before = model(model.condition(seen), noisy, time)
    with torch.no_grad():
        model.seen.weight[0] *= 2
    torch.testing.assert_close(model(model.condition(seen), noisy, time), before)
    with torch.no_grad():
        model.seen.weight[1] *= 2
    assert not torch.allclose(model(model.condition(seen), noisy, time), before)


def test_blank_numbers_of_the_state_are_not_read():
    noisy, time = torch.randn(2, HORIZON, DIM), torch.rand(2)
    for blank, same in (((2,), True), ((1, 9), False)):
        model, seen = net(blank=blank), context()
        before = model(model.condition(seen), noisy, time)
        seen.groups["state"].tokens[..., 2] += 1
        assert torch.equal(model(model.condition(seen), noisy, time), before) == same


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="room for 12"):
        net(positions=12).condition(context())
    with pytest.raises(ConfigError, match="numbers of state"):
        net(state_dim=3).condition(context())
    stateless = net(state_dim=0)
    told = stateless.condition(context())
    assert told.state.shape == (2, 0) and stateless(told, torch.randn(2, HORIZON, DIM), torch.rand(2)).shape[-1] == DIM


def test_every_body_has_prompts_of_its_own():
    soft = SoftPrompts(("arm", "hand"), 3, 2, 4)
    one, other = (soft(Observation(instruction=("a", "b"), embodiment=name)) for name in ("arm", "hand"))
    assert torch.equal(one.tokens[0], soft.prompts[0]) and torch.equal(other.tokens[1], soft.prompts[1])
    assert one.name == "prompt" and torch.equal(soft(Observation(instruction=("a",))).tokens[0], soft.prompts[0])
    assert [name for name, _ in soft.named_parameters()] == ["prompts"] and list(soft.state_dict()) == ["prompts"]
    assert BodyIndex(("arm", "hand"))(Observation(instruction=("a",), embodiment="hand")).tokens.item() == 1.0
    with pytest.raises(ConfigError, match="do not fit"):
        SoftPrompts(("a", "b", "c", "d"), 3, 2, 4)


class Knows(torch.nn.Module):
    """A network that always says the same, and remembers what it was shown."""

    def __init__(self, answer):
        super().__init__()
        self.answer, self.shown, self.times = answer, [], []

    def condition(self, context, n=1):
        return None

    def forward(self, condition, noisy, time):
        self.shown.append(noisy.clone())
        self.times.append(time.clone())
        return self.answer[: len(noisy)]


def units(spec, **bounds):
    figures = {"count": 1, "mean": (0.0,) * spec.dim, "std": (1.0,) * spec.dim, "q01": (0.0,) * spec.dim}
    low, high = bounds.get("low", -1.0), bounds.get("high", 1.0)
    known = FeatureStatistics(**figures, q99=(1.0,) * spec.dim, minimum=(low,) * spec.dim, maximum=(high,) * spec.dim)
    return Normalizer(spec.dim, "min_max" if bounds else "identity", known)


def chunk(actions, valid=None):
    valid = torch.ones(actions.shape[:2], dtype=torch.bool) if valid is None else valid
    return ActionChunk(actions=actions, valid=valid, spec=HANDS)


def test_losses_are_the_published_ones():
    torch.manual_seed(0)
    found, actions = torch.randn(2, HORIZON, 20), torch.rand(2, HORIZON, 20)
    decoder = CleanFlow(Knows(found), CleanConfig(), HANDS, HORIZON, units(HANDS))
    terms = decoder.loss_at(context(), chunk(actions), torch.randn(2, HORIZON, 20), torch.rand(2))
    mse, places, turns = F.mse_loss, ((0, 3), (10, 13)), ((3, 9), (13, 19))
    for row in range(2):
        said, true = found[row], actions[row]
        assert terms["position"][row].item() == pytest.approx(
            sum(mse(said[:, a:b], true[:, a:b]).item() for a, b in places), rel=1e-5
        )
        assert terms["rotation"][row].item() == pytest.approx(
            sum(mse(said[:, a:b], true[:, a:b]).item() for a, b in turns), rel=1e-5
        )
        grips = [F.binary_cross_entropy_with_logits(said[:, i], true[:, i]).item() for i in (9, 19)]
        assert terms["gripper"][row].item() == pytest.approx(sum(grips) / 2, rel=1e-5)
    assert list(terms) == ["position", "rotation", "gripper"]


def test_joints_are_averaged_and_numbers_may_be_grippers():
    arm = ActionPart(name="arm", dim=3, representation="joint_position", units="rad")
    spec = ActionSpec(parts=(arm, replace(arm, name="other", dim=2), hand("a")[-1]), rate_hz=10, chunk=HORIZON)
    found, actions = torch.randn(1, HORIZON, 6), torch.rand(1, HORIZON, 6)
    decoder = CleanFlow(Knows(found), CleanConfig(gripper="number"), spec, HORIZON, units(spec))
    noise = torch.randn(1, HORIZON, 6)
    terms = decoder.loss_at(context(), chunk(actions), noise, torch.ones(1))
    assert terms["joint"].item() == pytest.approx(F.mse_loss(found[..., :5], actions[..., :5]).item(), rel=1e-5)
    assert terms["gripper"].item() == pytest.approx(F.mse_loss(found[..., 5], actions[..., 5]).item(), rel=1e-5)
    assert torch.equal(decoder.net.shown[0], noise)
    torch.testing.assert_close(decoder.from_noise(context(batch=1), noise), found)


def test_steps_beyond_the_end_and_further_draws():
    torch.manual_seed(0)
    found, actions = torch.randn(6, HORIZON, 20), torch.rand(2, HORIZON, 20)
    valid = torch.tensor([[True] * 4, [True, True, False, False]])
    decoder = CleanFlow(Knows(found), CleanConfig(draws=3), HANDS, HORIZON, units(HANDS))
    terms = decoder.loss_terms(context(), chunk(actions, valid), torch.Generator().manual_seed(0))
    rows = [(found[3 + k, :2, :3] - actions[1, :2, :3]).square().mean() for k in range(3)]
    rows += [(found[3 + k, :2, 10:13] - actions[1, :2, 10:13]).square().mean() for k in range(3)]
    assert terms["position"][1].item() == pytest.approx(sum(rows).item() / 3, rel=1e-5)
    nothing = decoder.loss_terms(context(), chunk(actions, torch.zeros_like(valid)), None)
    assert all((term == 0).all() for term in nothing.values())


def test_times_are_spread_evenly_over_batch_and_draws():
    decoder = CleanFlow(Knows(torch.zeros(8, HORIZON, 20)), CleanConfig(draws=2), HANDS, HORIZON, units(HANDS))
    decoder.loss_terms(context(), chunk(torch.zeros(4, HORIZON, 20)), torch.Generator().manual_seed(0))
    times = decoder.net.times[0]
    gaps = times.sort().values.diff()
    torch.testing.assert_close(gaps, torch.full((7,), 1 / 8), atol=1e-4, rtol=0)
    torch.testing.assert_close((times[0] - times[1]).abs(), torch.tensor(0.5), atol=1e-4, rtol=0)


def test_each_step_mixes_the_estimate_with_the_first_noise():
    torch.manual_seed(0)
    answer, noise = torch.randn(2, HORIZON, 20), torch.randn(2, HORIZON, 20)
    decoder = CleanFlow(Knows(answer), CleanConfig(steps=4), HANDS, HORIZON, units(HANDS))
    found = decoder.from_noise(context(), noise)
    grips = torch.zeros(20, dtype=torch.bool)
    grips[[9, 19]] = True
    for shown, time in zip(decoder.net.shown, (1.0, 0.75, 0.5, 0.25), strict=True):
        expected = noise if time == 1.0 else time * noise + (1 - time) * answer
        torch.testing.assert_close(shown, expected.masked_fill(grips, 0.0))
    torch.testing.assert_close(found, torch.where(grips, answer.sigmoid(), answer))


def test_a_committed_beginning_steers_the_rest():
    answer, noise = torch.randn(2, HORIZON, 20), torch.randn(2, HORIZON, 20)
    decoder = CleanFlow(Knows(answer), CleanConfig(steps=2), HANDS, HORIZON, units(HANDS))
    prefix = torch.rand(2, 2, 20)
    found = decoder.from_noise(context(), noise, prefix=prefix)
    assert torch.equal(found[:, :2], prefix)
    middle = (0.5 * noise + 0.5 * torch.cat([prefix, answer[:, 2:]], dim=1)).masked_fill(decoder.grips, 0.0)
    torch.testing.assert_close(decoder.net.shown[1], middle)
    with pytest.raises(ShapeError, match="prefix"):
        decoder.from_noise(context(), noise, prefix=torch.rand(2, HORIZON + 1, 20))


def test_grippers_end_at_the_contracts_ends_whatever_the_units():
    one = ActionSpec(parts=(replace(hand("a")[-1], low=-1.0, high=1.0),), rate_hz=10, chunk=1)
    scaled = units(one, low=-4.0, high=2.0)
    sure = torch.tensor([[[40.0]], [[-40.0]]])
    decoder = CleanFlow(Knows(sure), CleanConfig(), one, 1, scaled)
    physical = scaled.undo(decoder.from_noise(context(), torch.randn(2, 1, 1)))
    torch.testing.assert_close(physical.flatten(), torch.tensor([1.0, -1.0]))
    right = scaled.do(torch.tensor([[[1.0]], [[-1.0]]]))
    right = ActionChunk(actions=right, valid=torch.ones(2, 1, dtype=torch.bool), spec=one)
    terms = decoder.loss_at(context(), right, torch.randn(2, 1, 1), torch.rand(2))
    torch.testing.assert_close(terms["gripper"], torch.zeros(2), atol=1e-6, rtol=0)


def test_further_dimensions_are_mixed_and_cut_off():
    spec = ActionSpec(parts=hand("a"), rate_hz=10, chunk=HORIZON)
    decoder = CleanFlow(Knows(torch.randn(2, HORIZON, 20)), CleanConfig(), spec, HORIZON, units(spec), 20)
    found = decoder.sample(context(), torch.Generator().manual_seed(0), n=1)
    assert found.shape == (2, 1, HORIZON, 10) and decoder.net.shown[0].shape[-1] == 20
    terms = decoder.loss_terms(context(), chunk(torch.rand(2, HORIZON, 10)), None)
    assert all(term.shape == (2,) for term in terms.values())
    with pytest.raises(ConfigError, match="do not fit"):
        CleanFlow(Knows(torch.zeros(1)), CleanConfig(), HANDS, HORIZON, units(HANDS), 12)
