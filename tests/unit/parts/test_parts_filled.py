"""A language model that removes noise from placeholders: what it reads, what it leaves, how it learns."""

from dataclasses import replace

import pytest
import torch

from embodia.core.errors import ConfigError
from embodia.core.invent import invent_batch, invent_contract
from embodia.core.types import Observation, TokenGroup
from embodia.nn.positional import time_positions
from embodia.parts.context import Context
from embodia.parts.decoders.diffusion import DiffusionConfig
from embodia.parts.decoders.filled import FilledPlaces, TimePlace
from embodia.parts.decoders.readout import ReadoutConfig
from embodia.policies import PolicySpec, make, openvla_oft

HORIZON, DIM, WIDTH = 3, 2, 8


def group(name, tokens):
    return TokenGroup(name=name, tokens=tokens, mask=None, attends_to=(name,))


class Keeps(torch.nn.Module):
    """A model that changes nothing and remembers what it read."""

    def forward(self, groups, cache=None):
        self.read = groups
        return groups, None


def places(spelled):
    torch.manual_seed(0)
    net = FilledPlaces(Keeps(), ReadoutConfig(hidden=0), WIDTH, DIM).eval()
    groups = {"time": group("time", torch.zeros(2, 1, WIDTH)), "image": group("image", torch.randn(2, 4, WIDTH))}
    groups["readout"] = group("readout", torch.randn(2, HORIZON * DIM, WIDTH))
    if spelled:
        groups["closing"] = group("closing", torch.randn(2, 2, WIDTH))
    return net, groups


def test_numbers_stand_behind_the_opening_piece():
    net, groups = places(spelled=True)
    noisy, time = torch.randn(2, HORIZON, DIM), torch.tensor([3.0, 40.0])
    found = net(net.condition(Context(groups=groups)), noisy, time)
    numbers = net.enter(noisy.reshape(2, -1, 1))
    read = net.model.read
    assert torch.equal(read["readout"].tokens[:, 0], groups["readout"].tokens[:, 0])
    assert torch.equal(read["readout"].tokens[:, 1:], numbers[:, :-1])
    assert torch.equal(read["closing"].tokens[:, 0], numbers[:, -1])
    assert torch.equal(read["closing"].tokens[:, 1], groups["closing"].tokens[:, 1])
    assert torch.equal(read["time"].tokens[:, 0], time_positions(time, WIDTH))
    assert torch.equal(read["image"].tokens, groups["image"].tokens)
    expected = net.head(read["readout"].tokens.reshape(2, HORIZON, DIM * WIDTH))
    torch.testing.assert_close(found, expected)


def test_learned_places_are_added_to():
    net, groups = places(spelled=False)
    noisy = torch.randn(4, HORIZON, DIM)
    net(net.condition(Context(groups=groups), 2), noisy, torch.zeros(4))
    expected = groups["readout"].tokens.repeat_interleave(2, 0) + net.enter(noisy.reshape(4, -1, 1))
    torch.testing.assert_close(net.model.read["readout"].tokens, expected)


def test_a_place_for_the_time():
    place = TimePlace(WIDTH)(Observation(instruction=("a", "b", "c")))
    assert place.name == "time" and place.tokens.shape == (3, 1, WIDTH) and not TimePlace(WIDTH).state_dict()


@pytest.mark.parametrize("ahead", [(), (12,)])
def test_every_weight_learns_and_chunks_are_drawn(ahead):
    body = invent_contract()
    noise = DiffusionConfig(train_steps=50, sample_steps=4)
    config = replace(openvla_oft.preset("tiny"), places="dims", noise=noise, ahead=ahead)
    policy = make(PolicySpec(name="openvla_oft", size="tiny", contract=body, config=config), seed=0)
    batch = invent_batch(policy.contract, 2, ahead=len(policy.ahead)).map(torch.from_numpy)
    loss, terms = policy.loss(batch, torch.Generator().manual_seed(0))
    loss.backward()
    silent = [name for name, p in policy.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert not silent and "denoise" in terms
    policy.eval()
    with torch.no_grad():
        chunks = policy.sample(batch.observation, torch.Generator().manual_seed(0), n=2)
        dark = replace(batch.observation, state=batch.observation.state + 1)
        other = policy.sample(dark, torch.Generator().manual_seed(0), n=2)
    assert chunks.shape == (2, 2, config.chunk, 4) and not torch.allclose(chunks, other)
    assert not torch.allclose(chunks[:, 0], chunks[:, 1])


def test_a_place_for_every_number_is_needed():
    noise = openvla_oft.denoising().noise
    assert (noise.train_steps, noise.sample_steps, noise.prediction, noise.solver) == (50, 50, "epsilon", "ddim")
    config = replace(openvla_oft.preset("tiny"), noise=noise)
    with pytest.raises(ConfigError, match="every number"):
        make(PolicySpec(name="openvla_oft", size="tiny", contract=invent_contract(), config=config))
