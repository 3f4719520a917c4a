"""Policies whose actions are classes or cells: what their papers promise of the wiring."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from embodia.core.invent import invent_batch, invent_observation
from embodia.parts.encoders.depth import Ego3d
from embodia.parts.encoders.newest import Newest
from embodia.parts.encoders.trajectory import TrajectoryTokens
from embodia.policies import PolicySpec, complete, make

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
from bodies import gripper_arm, statistics

ARM = gripper_arm()


def tiny(name: str, **changes):
    config = replace(complete(PolicySpec(name=name, size="tiny", contract=ARM)).config, **changes)
    return make(PolicySpec(name=name, size="tiny", contract=ARM, config=config), statistics(ARM), seed=0).eval()


def chunks(count: int, length: int) -> torch.Tensor:
    """Three kinds of movement."""
    rng = torch.Generator().manual_seed(0)
    kinds = torch.tensor([[0.8, 0.0, 0.0, 1.0], [-0.8, 0.0, 0.2, -1.0], [0.0, 0.6, -0.6, 1.0]])
    kind = torch.randint(3, (count,), generator=rng)
    return kinds[kind][:, None].expand(-1, length, -1) + 0.02 * torch.randn(count, length, 4, generator=rng)


@pytest.mark.parametrize("name", ["bet", "vq_bet", "spatialvla"])
def test_fitting_moves_the_codes_onto_the_data(name):
    policy = tiny(name)
    data = chunks(120, policy.contract.action.chunk)
    tokenizer = policy.decoder.tokenizer
    normalised = policy.action_units.do(data)
    before = (tokenizer.decode(tokenizer.encode(normalised)) - normalised).abs().mean()
    assert policy.must_fit
    if name == "vq_bet":
        tokenizer.coder.config = replace(tokenizer.coder.config, steps=200)
    policy.fit(data)
    after = (tokenizer.decode(tokenizer.encode(normalised)) - normalised).abs().mean()
    assert after < 0.5 * before
    other = tiny(name)
    other.load_state_dict(policy.state_dict())
    seen = invent_observation(ARM, 1)
    assert np.array_equal(policy.act(seen, None, None)[0].actions, other.act(seen, None, None)[0].actions)


def test_rt1_reads_every_number_of_a_published_action_from_a_token_of_its_own():
    config = complete(PolicySpec(name="rt1", size="paper", contract=ARM)).config
    with torch.device("meta"):
        policy = make(PolicySpec(name="rt1", size="paper", contract=ARM, config=config))
    assert policy.encoders["readout"].tokens.shape == (4, 512)
    assert policy.decoder.head.out_features == 256
    assert policy.encoders["image"].tokens == 2 * 8 and policy.history == 6


def test_rt1_gives_the_same_class_to_all_values_of_one_bin():
    policy = tiny("rt1")
    batch = invent_batch(policy.contract, 2).map(torch.from_numpy)
    chunk = policy.normalize_chunk(batch.chunk)
    ids = policy.decoder.tokenizer.encode(chunk.actions)
    moved = replace(chunk, actions=policy.decoder.tokenizer.decode(ids))
    context = policy.context(batch.observation)
    with torch.no_grad():
        terms = [policy.decoder.loss_terms(context, one, None)["token"] for one in (chunk, moved)]
    assert torch.equal(*terms)


def test_uniact_moves_by_its_codes_alone():
    policy = tiny("uniact")
    context = policy.context(invent_observation(ARM, 2).map(torch.from_numpy))
    with torch.no_grad():
        drawn = policy.decoder.act(context, policy.decoder.codebook.vectors[:5].expand(2, -1, -1))
    assert drawn.shape == (2, 5, 12, 4)
    assert (drawn[:, 0] - drawn[:, 1]).abs().max() > 0.01


def test_spatialvla_adds_places_only_where_depth_and_its_field_of_view_are_known():
    small = PolicySpec(name="spatialvla", size="small", contract=ARM)
    blind = replace(ARM, observation=replace(ARM.observation, senses=()))
    with torch.device("meta"):
        assert isinstance(make(small).encoders["image"], Ego3d)
        assert not isinstance(make(replace(small, contract=blind)).encoders["image"], Ego3d)


def test_gatos_ids_hear_only_those_before_them():
    policy = tiny("gato")
    batch = invent_batch(policy.contract, 1).map(torch.from_numpy)
    context = policy.context(batch.observation)
    chunk = policy.normalize_chunk(batch.chunk)
    ids = policy.decoder.tokenizer.encode(chunk.actions)
    other = ids.clone()
    other[:, 9:] = (other[:, 9:] + 7) % 256
    with torch.no_grad():
        first, second = (policy.decoder._read(context, one) for one in (ids, other))
    assert torch.allclose(first[:, :10], second[:, :10], atol=1e-5)
    assert not torch.allclose(first[:, 10:], second[:, 10:], atol=1e-3)


def test_a_trajectory_is_return_state_change_again_and_again():
    torch.manual_seed(0)
    encoder = TrajectoryTokens(4, 8, history=3)
    seen = invent_observation(ARM, 2, history=3).map(torch.from_numpy)
    group = encoder(seen)
    assert group.tokens.shape == (2, 8, 8) and group.within == "causal"
    assert torch.allclose(group.tokens[:, 1::3], encoder.state(seen.state))
    assert torch.allclose(group.tokens[:, 2::3], encoder.change(seen.state[:, 1:] - seen.state[:, :-1]))
    assert torch.allclose(group.tokens[:, 0], group.tokens[:, 3]), "the same return is asked for at every moment"


def test_the_newest_picture_alone_is_seen_and_the_past_is_remembered():
    policy = tiny("trajectory_transformer")
    assert isinstance(policy.encoders["image"], Newest)
    seen = invent_observation(ARM, 1, history=3)
    old = {name: picture.copy() for name, picture in seen.images.items()}
    for picture in old.values():
        picture[:, :2] = 0
    base = policy.act(seen, None, None)[0].actions
    assert np.array_equal(base, policy.act(replace(seen, images=old), None, None)[0].actions)
    state = seen.state.copy()
    state[:, 0] += 1
    assert not np.allclose(base, policy.act(replace(seen, state=state), None, None)[0].actions, atol=1e-6)
