"""Occupied cells against a loop, the head that learns them, and points injected into an expert that does not notice."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
from bodies import gripper_arm, statistics

from embodia.core.errors import ConfigError, ShapeError
from embodia.core.invent import invent_batch
from embodia.core.types import TokenGroup
from embodia.nn.occupancy import occupied
from embodia.parts.context import Context
from embodia.parts.decoders.dit import AdaptiveDit, DitConfig
from embodia.parts.decoders.injected import InjectedDit
from embodia.parts.heads.occupancy import Occupancy, OccupancyConfig
from embodia.policies import PolicySpec, complete, make

BODY = gripper_arm()
CENTRE, HALF = torch.tensor([0.4, 0.0, 0.2]), torch.tensor(0.5)


def test_cells_against_a_loop():
    points = torch.rand(2, 200, 3, generator=torch.Generator().manual_seed(0)) * 1.4 - 0.3
    points[0, 0] = 0.0
    found = occupied(points, CENTRE, HALF, 6)
    for row in range(2):
        expected = np.zeros((6, 6, 6), bool)
        for point in points[row].numpy():
            cell = np.floor(((point - CENTRE.numpy()) / 0.5 + 1) * 3).astype(int)
            if np.any(point) and np.all((cell >= 0) & (cell < 6)):
                expected[tuple(cell)] = True
        np.testing.assert_array_equal(found[row], expected)


def test_padding_fills_nothing():
    assert not occupied(torch.zeros(1, 5, 3), torch.zeros(3), HALF, 4).any()


def group(name, tokens):
    return TokenGroup(name=name, tokens=tokens, mask=None, attends_to=(name,))


def head(**changes):
    facts = {"centre": CENTRE, "half": HALF, "read": ("eye",)} | changes
    return Occupancy(OccupancyConfig(size=4, hidden=32), BODY.observation, 16, **facts)


def test_the_head_learns_which_cells_are_full():
    torch.manual_seed(0)
    model = head()
    contract = replace(BODY, action=replace(BODY.action, chunk=3))
    batch = invent_batch(contract, 6).map(torch.from_numpy)
    low = batch.observation.points.clone()
    low[::2, ..., 2] *= 0.2
    batch = replace(batch, observation=replace(batch.observation, points=low))
    seen = Context(groups={"eye": group("eye", torch.randn(6, 3, 16))})
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    first = None
    for _ in range(80):
        loss = model.loss_terms(seen, batch, None)["occupancy"]
        first = loss.mean().item() if first is None else first
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
    assert loss.shape == (6,) and loss.mean() < 0.2 * first
    truth = occupied(batch.observation.points[:, -1, :, :3], CENTRE, HALF, 4).flatten(1)
    assert ((model(seen) > 0) == truth).float().mean() > 0.95


def test_a_goal_is_asked_of_what_is_seen_later():
    model = head(later=True, name="goal")
    contract = replace(BODY, action=replace(BODY.action, chunk=3))
    batch = invent_batch(contract, 2, later=1).map(torch.from_numpy)
    seen = Context(groups={"eye": group("eye", torch.randn(2, 3, 16))})
    assert set(model.loss_terms(seen, batch, None)) == {"goal"}
    with pytest.raises(ShapeError, match="later"):
        model.loss_terms(seen, replace(batch, later=None), None)
    blind = replace(BODY.observation, senses=())
    with pytest.raises(ConfigError, match="points"):
        Occupancy(OccupancyConfig(), blind, 16, centre=CENTRE, half=HALF, read=("eye",))


def injected(frozen=False):
    torch.manual_seed(0)
    expert = AdaptiveDit(DitConfig(width=32, depth=3, heads=4, pool="mean"), 4, 5, 16)
    for parameter in expert.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return InjectedDit(expert, "points", 24, (1, 2), frozen=frozen)


def contexts():
    words = group("words", torch.randn(2, 3, 16))
    return [Context(groups={"words": words, "points": group("points", torch.randn(2, 6, 24))}) for _ in range(2)]


def test_at_first_the_expert_does_not_notice_and_then_it_learns_to_listen():
    net, (one, other) = injected(), contexts()
    noisy, time = torch.randn(2, 5, 4), torch.tensor([3.0, 40.0])
    plain = net.expert(net.expert.condition(Context(groups={"words": one.groups["words"]})), noisy, time)
    assert torch.equal(net(net.condition(one), noisy, time), plain)
    for layer in net.into.values():
        torch.nn.init.normal_(layer.weight, std=0.1)
    assert not torch.allclose(net(net.condition(one), noisy, time), net(net.condition(other), noisy, time))
    assert net(net.condition(one, 3), noisy.repeat(3, 1, 1), time.repeat(3)).shape == (6, 5, 4)


def test_a_frozen_expert_learns_nothing_but_to_be_told():
    net, (one, _) = injected(frozen=True), contexts()
    net(net.condition(one), torch.randn(2, 5, 4), torch.zeros(2)).square().sum().backward()
    assert all(parameter.grad is None for parameter in net.expert.parameters())
    assert all(layer.weight.grad.any() for layer in net.into.values())


def test_a_frozen_base_is_the_papers_way():
    config = replace(complete(PolicySpec(name="pointvla", size="tiny", contract=BODY)).config, frozen=True)
    policy = make(PolicySpec(name="pointvla", size="tiny", contract=BODY, config=config), statistics(BODY), seed=0)
    learning = {name.split(".")[0] for name, parameter in policy.named_parameters() if parameter.requires_grad}
    assert learning == {"encoders", "decoder"}
    names = [name for name, parameter in policy.named_parameters() if parameter.requires_grad]
    assert all("points" in name or ".common." in name or ".into." in name for name in names)
