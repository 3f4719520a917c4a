"""Pick and place maps: the chosen cell becomes the right place, turns have the right sign, an open hand picks."""

import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
from bodies import gripper_arm, statistics

from embodia.core.invent import invent_batch
from embodia.core.specs import ActionPart, StatePart
from embodia.core.types import TokenGroup
from embodia.nn.normalize import Normalizer
from embodia.nn.tool import tool_of
from embodia.parts.context import Context
from embodia.parts.decoders.pixelmap import PixelMapConfig, PixelMaps
from embodia.policies import PolicySpec, make

PLAIN = gripper_arm()
HEADING = replace(
    PLAIN.observation, state=(*PLAIN.observation.state, StatePart(name="heading", dim=3, units="normalized"))
)
TOLD = 8
TURN = ActionPart(name="yaw", dim=1, representation="ee_rotation_delta", rotation="axis_angle", scale=0.1)
TURNING = replace(PLAIN, observation=HEADING, action=replace(PLAIN.action, parts=(*PLAIN.action.parts, TURN)))


def decoder(body=TURNING, **changes):
    torch.manual_seed(0)
    tool = tool_of(body)
    config = PixelMapConfig(size=16, crop=6, turns=8, key=4, width=8, **changes)
    cube = {"centre": torch.tensor([0.4, 0.0, 0.2]), "half": torch.tensor(0.5)}
    return PixelMaps(config, tool, Normalizer(tool.dim, "mean_std", None), 40, told=TOLD, **cube).eval()


def context(place=(0.4, 0.0, 0.2), turn=0.0, opening=1.0):
    cloud = torch.rand(1, 60, 6, generator=torch.Generator().manual_seed(1))
    cloud[..., :3] = cloud[..., :3] * 0.8 + torch.tensor([0.0, -0.4, -0.2])
    now = torch.tensor([[[*place, turn, opening]]])
    groups = {"cloud": cloud, "tool": now}
    return Context(groups={n: TokenGroup(name=n, tokens=t, mask=None, attends_to=(n,)) for n, t in groups.items()})


def hot(model, monkeypatch, row, column, turn=0):
    """The maps replaced by one hot cell."""
    real = model._heat

    def heat(seen):
        maps, features, low = real(seen)
        cold = torch.full_like(maps, -50.0)
        cold[:, turn, row, column] = 50.0
        return cold, features, low

    monkeypatch.setattr(model, "_heat", heat)


def test_the_hot_cell_is_where_the_hand_goes(monkeypatch):
    model = decoder()
    hot(model, monkeypatch, row=12, column=3)
    chunk = model.sample(context(), None)[0, 0]
    moved = 0.02 * chunk[:, :3].sum(0)
    x = 0.4 + ((12 + 0.5) / 8 - 1) * 0.5
    y = ((3 + 0.5) / 8 - 1) * 0.5
    assert moved[0].item() == pytest.approx(x - 0.4, abs=1e-4)
    assert moved[1].item() == pytest.approx(y, abs=1e-4)


@pytest.mark.parametrize("turn", [0.0, 0.7])
def test_turns_of_the_window_and_of_the_hand_agree(turn, monkeypatch):
    model = decoder()
    for wanted in (0.0, math.pi / 4, -math.pi / 2, 3 * math.pi / 4):
        number = model._turn_of(context(turn=turn), torch.tensor([turn + wanted])).item()
        with monkeypatch.context() as patch:
            hot(model, patch, row=8, column=8, turn=number)
            chunk = model.sample(context(turn=turn), None)[0, 0]
        assert 0.1 * chunk[:, 4].sum().item() == pytest.approx(wanted, abs=1e-4)


def test_an_open_hand_picks_and_a_closed_one_places():
    model = decoder()
    open_heat, closed_heat = model._heat(context(opening=1.0))[0], model._heat(context(opening=0.1))[0]
    with torch.no_grad():
        model.query.out.weight.zero_()
        model.query.out.bias.zero_()
    torch.testing.assert_close(model._heat(context(opening=1.0))[0], open_heat, atol=0.3, rtol=0.2)
    fits = [heat - heat[:, :1] for heat in (closed_heat, model._heat(context(opening=0.1))[0])]
    assert fits[0].std((-2, -1)).max() > 20 * fits[1].std((-2, -1)).max(), "without crops all turns fit alike"


@pytest.mark.parametrize("name", ["transporter", "cliport"])
def test_it_learns_where_to_go(name):
    policy = make(PolicySpec(name=name, size="tiny", contract=PLAIN), statistics(PLAIN), seed=0)
    batch = invent_batch(policy.contract, 6, ahead=2).map(torch.from_numpy)
    ahead = batch.ahead.clone()
    ahead[..., :3] = torch.rand(6, 1, 3, generator=torch.Generator().manual_seed(0)) - 0.5
    batch = replace(batch, ahead=ahead)
    optimizer = torch.optim.Adam(policy.parameters(), 2e-3)
    start, _ = policy.loss(batch, None)
    for _ in range(50):
        loss, terms = policy.loss(batch, None)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert set(terms) == {"map", "height", "grip"}
    assert loss < 0.6 * start
    policy.eval()
    chunk = torch.from_numpy(policy.act(batch.observation, None, None)[0].actions)
    wanted = ahead[:, 0, :2] - batch.observation.state[:, -1, :2]
    along = torch.nn.functional.cosine_similarity(chunk[..., :2].mean(1), wanted)
    assert along.median() > 0.9


def test_what_is_told_moves_the_map_and_the_turn():
    model = decoder()
    here, there = (model._heat(context(place=place))[0] for place in ((0.4, 0.0, 0.2), (0.4, 0.0, 0.35)))
    assert not torch.allclose(here, there), "the network knows where the hand is"
    with torch.no_grad():
        model.turn.bias[3] += 100.0
    turned = model._heat(context())[0]
    torch.testing.assert_close(turned[:, 3] - here[:, 3], torch.full_like(here[:, 3], 100.0), atol=1e-3, rtol=0)
    torch.testing.assert_close(turned[:, :3], here[:, :3])
