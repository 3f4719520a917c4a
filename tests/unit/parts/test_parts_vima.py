"""Windows round proposals, a prompt that is looked at and never changed, poses in bins."""

import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
from bodies import gripper_arm, statistics

from embodia.core.invent import invent_batch, invent_observation
from embodia.core.types import TokenGroup
from embodia.nn.detr import LayerSizes
from embodia.nn.heatmap import near_best
from embodia.nn.normalize import Normalizer
from embodia.nn.tool import tool_of
from embodia.parts.backbones.prompted import Prompted
from embodia.parts.context import Context
from embodia.parts.decoders.binned import BinnedConfig, BinnedPose, _blurred, _hills
from embodia.parts.encoders.crops import CropConfig, ObjectCrops, windows
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig
from embodia.policies import PolicySpec, make

BODY = gripper_arm()
GAUSSIAN = 0.5 * math.log(2 * math.pi * math.e)
"""Entropy of one that is a bin wide, the least that its cross-entropy can be."""
SIZES = LayerSizes(width=16, heads=4, hidden=32, dropout=0.0, pre_norm=True)


def group(name, tokens, mask=None):
    return TokenGroup(name=name, tokens=tokens, mask=mask, attends_to=(name,))


def test_a_window_is_what_lies_round_the_place():
    picture = torch.randn(1, 2, 16, 16)
    place = torch.tensor([[[(4 + 8) / 16 * 2 - 1 - 0.25, 0.0]]])
    found = windows(picture, place, 4, 0.25)
    right = round((place[0, 0, 0].item() + 1) * 8)
    torch.testing.assert_close(found[0, 0], picture[0, :, 6:10, right - 2 : right + 2], atol=1e-5, rtol=1e-4)


def test_proposals_are_tokens_that_follow_the_picture():
    encoder = ObjectCrops(CropConfig(detector=KeypointStemConfig(keypoints=5)), BODY.observation, 16)
    seen = invent_observation(BODY, 2, history=2).map(torch.from_numpy)
    group_ = encoder(seen)
    assert group_.tokens.shape == (2, 12, 16) and group_.name == "objects"
    dark = replace(seen, images={name: image * 0 for name, image in seen.images.items()})
    assert not torch.allclose(encoder(dark).tokens, group_.tokens)
    past = replace(seen, images={n: torch.cat([i[:, :1] * 0, i[:, 1:]], 1) for n, i in seen.images.items()})
    assert torch.equal(encoder(past).tokens, group_.tokens), "only the newest picture counts"


def test_a_bright_spot_draws_the_proposals():
    torch.manual_seed(0)
    one = replace(BODY.observation, cameras=BODY.observation.cameras[:1])
    encoder = ObjectCrops(CropConfig(detector=KeypointStemConfig(keypoints=4)), one, 16)
    seen = invent_observation(replace(BODY, observation=one), 16).map(torch.from_numpy)
    optimizer = torch.optim.Adam(encoder.parameters(), 3e-3)
    for _ in range(60):
        place = torch.rand(16, 2) * 1.2 - 0.6
        steps = torch.linspace(-1, 1, 48)
        far = (steps[None, :, None] - place[:, 1, None, None]) ** 2 + (steps[None, None] - place[:, 0, None, None]) ** 2
        picture = (255 * (far < 0.03)).to(torch.uint8)[:, None, ..., None].expand(-1, -1, -1, -1, 3)
        ((_, found, _),) = encoder.detector.find(replace(seen, images={one.cameras[0].name: picture}))
        loss = (found[..., :2] - place[:, None]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.12


def test_the_prompt_is_looked_at_and_stays():
    torch.manual_seed(0)
    model = Prompted(SIZES, 2, ("things", "action"), ("words",))
    groups = {
        "things": group("things", torch.randn(2, 3, 16)),
        "action": group("action", torch.randn(2, 1, 16)),
        "words": group("words", torch.randn(2, 4, 16), torch.tensor([[True] * 4, [True, True, False, False]])),
        "tool": group("tool", torch.randn(2, 1, 5)),
    }
    found, _ = model(groups)
    assert found["words"] is groups["words"] and found["tool"] is groups["tool"]
    assert found["action"].attends_to == ("things", "action", "words")
    other = {**groups, "words": replace(groups["words"], tokens=groups["words"].tokens + 1)}
    assert not torch.allclose(model(other)[0]["action"].tokens, found["action"].tokens)
    hidden = groups["words"].tokens.clone()
    hidden[1, 2:] = 99.0
    masked = {**groups, "words": replace(groups["words"], tokens=hidden)}
    torch.testing.assert_close(model(masked)[0]["action"].tokens, found["action"].tokens)


@pytest.mark.parametrize(("circular", "expected"), [(True, 0.0), (False, 0.5 + math.e / (math.e + math.exp(3)) * 1)])
def test_bins_next_to_the_best(circular, expected):
    logits = torch.full((1, 8), -50.0)
    logits[0, 0], logits[0, 7 if circular else 1] = 3.0, 3.0 if circular else 1.0
    assert near_best(logits, torch.tensor([[0]]), circular=circular).item() == pytest.approx(expected, abs=1e-4)


def binned(**choices):
    torch.manual_seed(0)
    tool = tool_of(BODY)
    cube = {"centre": torch.tensor([0.1, 0.2, 0.3]), "half": torch.tensor(0.5)}
    bins, units = replace(BinnedConfig(bins=10), **choices), Normalizer(4, "mean_std", None)
    return BinnedPose(bins, tool, units, 16, 40, read="action", **cube)


def test_the_likeliest_bins_are_where_the_hand_goes():
    model = binned(bump=False)
    with torch.no_grad():
        last = model.net[2]
        last.weight.zero_()
        last.bias.fill_(-40.0)
        for axis, bin_ in enumerate((7, 2, 5)):
            last.bias[10 * axis + bin_] = 40.0
    now = torch.tensor([[[0.1, 0.2, 0.3, 0.0, 1.0]]])
    seen = Context(groups={"action": group("action", torch.randn(1, 1, 16)), "tool": group("tool", now)})
    moved = 0.02 * model.sample(seen, None)[0, 0, :, :3].sum(0)
    torch.testing.assert_close(moved, torch.tensor([0.25, -0.25, 0.05]), atol=1e-4, rtol=0)


def test_places_are_taught_as_gaussians_of_the_spread():
    shares = _blurred(torch.tensor([[5.5, 2.0, 99.0]]), 10, 1.0)[0]
    torch.testing.assert_close(shares.sum(-1), torch.ones(3))
    assert (shares[0, 6] / shares[0, 5]).log().item() == pytest.approx(-0.5)
    assert shares[1, 1].item() == pytest.approx(shares[1, 2].item())
    assert shares[2].argmax() == 9, "beyond the cube counts as its last bin"


def test_a_bump_is_a_parabola_where_the_estimate_says():
    hills = _hills(torch.tensor([[0.5, 0.0, 0.0, math.log(5 / 4), -1.0, 0.0]]), 10)
    assert [hill[0].argmax().item() for hill in hills] == [7, 4, 0]
    assert hills[0][0, 7].item() == pytest.approx(0.0, abs=1e-6)
    assert hills[1][0, 5].item() == pytest.approx(-0.5 * 0.5**2, abs=1e-5), "a bin wide"
    assert hills[1][0, 7].item() == pytest.approx(-0.5 * 2.5**2, abs=1e-5)


def test_it_learns_where_to_go():
    policy = make(PolicySpec(name="vima", size="tiny", contract=BODY), statistics(BODY), seed=0)
    batch = invent_batch(policy.contract, 6, ahead=2).map(torch.from_numpy)
    ahead = batch.ahead.clone()
    ahead[..., :3] = torch.rand(6, 1, 3, generator=torch.Generator().manual_seed(0)) - 0.5
    batch = replace(batch, ahead=ahead)
    optimizer = torch.optim.Adam(policy.parameters(), 1e-3)
    for _ in range(60):
        loss, terms = policy.loss(batch, None)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert set(terms) == {"place", "grip"} and terms["place"] < GAUSSIAN + 0.25
    chunk = torch.from_numpy(policy.eval().act(batch.observation, None, None)[0].actions)
    wanted = ahead[:, 0, :3] - batch.observation.state[:, -1, :3]
    assert torch.nn.functional.cosine_similarity(chunk[..., :3].mean(1), wanted).median() > 0.97
