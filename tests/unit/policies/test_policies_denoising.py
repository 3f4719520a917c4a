"""What sets each denoising design apart, on the tiny sizes: reasoning, experts, votes, guidance, bodies, history."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from embodia.core.invent import invent_batch, invent_observation
from embodia.parts.acting import Carry
from embodia.parts.compose import Composition
from embodia.parts.decoders.consistency import ConsistencyConfig
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig
from embodia.policies import PolicySpec, complete, make, octo

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
from bodies import gripper_arm, published_body, statistics

ARM = gripper_arm(16)


def tiny(name: str, contract=ARM, config=None) -> Composition:
    spec = PolicySpec(name=name, size="tiny", contract=contract, config=config)
    return make(spec, statistics(contract), seed=0).eval()


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch_for(policy: Composition, size: int = 2):
    made = invent_batch(policy.contract, size, history=policy.history, ahead=len(policy.ahead))
    return made.map(torch.from_numpy)


@pytest.mark.parametrize("name", ["divla", "chatvla", "chatvla2"])
def test_what_was_said_steers_the_action(name):
    policy, seen = tiny(name), invent_observation(ARM, 1)
    with torch.no_grad():
        policy.decoder.net.film.project.weight.mul_(20)
    policy.inference = replace(policy.inference, think_every=2)
    acted = [policy.act(seen, Carry(thought=(text,), decisions=1), rng()) for text in ("go left", "go right")]
    assert acted[0][1].thought == ("go left",)
    assert not np.allclose(acted[0][0].actions, acted[1][0].actions, atol=1e-7)
    batch = batch_for(policy)
    losses = [policy.loss_terms(replace(batch, answer=(text, text)), rng())["denoise"] for text in ("left", "up", "")]
    assert not torch.allclose(losses[0], losses[1]) and not torch.allclose(losses[0], losses[2])


@pytest.mark.parametrize("name", ["divla", "chatvla", "chatvla2"])
def test_rows_of_pure_language_teach_words_alone(name):
    policy = tiny(name)
    batch = batch_for(policy)
    batch = replace(batch, chunk=replace(batch.chunk, valid=torch.zeros_like(batch.chunk.valid)), answer=("yes", ""))
    terms = policy.loss_terms(batch, rng())
    assert terms["denoise"].tolist() == [0.0, 0.0]
    assert float(terms["thought"][0].detach()) > 0 and float(terms["thought"][1].detach()) == 0.0


def test_a_router_brings_its_balance():
    policy = tiny("chatvla2")
    terms = policy.loss_terms(batch_for(policy), rng())
    assert bool((terms["balance"] >= 0.9).all()) and policy.weights["balance"] == 0.01
    assert "balance" not in tiny("chatvla").loss_terms(batch_for(tiny("chatvla")), rng())


def test_talking_has_an_expert_that_acting_does_not_train():
    policy = tiny("chatvla")
    terms = policy.loss_terms(replace(batch_for(policy), answer=("", "")), rng())
    terms["denoise"].sum().backward()
    acting, talking = policy.backbone.engine.layers[0].static
    assert acting.down.weight.grad is not None and bool(acting.down.weight.grad.any())
    assert talking.down.weight.grad is None or not bool(talking.down.weight.grad.any())


def test_hybrid_learns_both_ways_from_one_reading():
    policy = tiny("hybridvla")
    terms = policy.loss_terms(batch_for(policy), rng())
    assert {"denoise", "token"} <= set(terms)
    context = policy.context(batch_for(policy).observation)
    with torch.no_grad():
        denoised = policy.decoder.diffusion.sample(context, rng())
        policy.decoder.sure = 2.0
        assert torch.allclose(policy.decoder.sample(context, rng()), denoised, atol=1e-5)
        policy.decoder.sure = -1.0
        said = policy.decoder.words.sample(context, rng())
        assert torch.allclose(policy.decoder.sample(context, rng()), (denoised + said) / 2, atol=1e-5)


def test_cogact_is_guided_away_from_an_unread_token():
    policy, seen = tiny("cogact"), invent_observation(ARM, 1)
    guided = policy.act(seen, None, rng())[0].actions
    plain = policy.decoder.config
    policy.decoder.config = replace(plain, guidance=1.0)
    unguided = policy.act(seen, None, rng())[0].actions
    policy.decoder.config = replace(plain, guidance=0.0)
    with torch.no_grad():
        blind = [policy.act(invent_observation(ARM, 1, seed=seed), None, rng())[0].actions for seed in (1, 2)]
    assert not np.allclose(guided, unguided)
    assert np.allclose(*blind, atol=1e-6)


def test_octo_looks_back_as_far_as_its_window():
    config = replace(octo.preset("tiny"), history=2, vision=KeypointStemConfig(channels=16, grid_channels=16))
    policy, seen = tiny("octo", config=config), invent_observation(ARM, 1, history=2)
    base = policy.act(seen, None, rng())[0].actions
    for step in (0, 1):
        images = {name: image.copy() for name, image in seen.images.items()}
        for image in images.values():
            image[:, step] = 0
        assert not np.allclose(policy.act(replace(seen, images=images), None, rng())[0].actions, base, atol=1e-7)


def test_hpts_trunk_moves_from_body_to_body():
    other = published_body({"cameras": 1, "height": 32, "width": 32, "state": 9, "actions": 6, "language": True})
    here, there = tiny("hpt"), tiny("hpt", contract=other)
    there.backbone.load_state_dict(here.backbone.state_dict())
    assert there.encoders["state"].names == {"published": "body0"} and here.encoders["state"].names == {"arm": "body0"}
    assert there.act(invent_observation(other, 1), None, rng())[0].actions.shape == (1, 12, 6)


def test_rdt_knows_the_rate_of_control():
    seen = invent_observation(ARM, 1)
    fast = replace(ARM, action=replace(ARM.action, rate_hz=50))
    slow_policy, fast_policy = tiny("rdt"), tiny("rdt", contract=fast)
    fast_policy.load_state_dict(slow_policy.state_dict())
    assert fast_policy.decoder.net.rate_hz == 50
    slow_actions = slow_policy.act(seen, None, rng())[0].actions
    assert not np.allclose(fast_policy.act(seen, None, rng())[0].actions, slow_actions, atol=1e-7)


class Counted(torch.nn.Module):
    """A denoiser that counts how often it is asked."""

    def __init__(self, net):
        super().__init__()
        self.net, self.calls, self.seen = net, 0, None

    def condition(self, context, n=1):
        self.seen = tuple(context.groups)
        return self.net.condition(context, n)

    def forward(self, told, noisy, time):
        self.calls += 1
        return self.net(told, noisy, time)


FEW_STEPS = {"octo": ("readout",), "diffusion_policy": ("state", "image", "language")}
"""Designs with a few-step head in place of diffusion, and what it is told."""


@pytest.mark.parametrize("name", sorted(FEW_STEPS))
def test_a_few_step_head_takes_the_place_of_diffusion(name):
    config = complete(PolicySpec(name=name, size="tiny", contract=ARM)).config
    policy = tiny(name, config=replace(config, consistency=ConsistencyConfig(levels=6, sample_steps=2)))
    assert set(policy.state_dict()) == set(tiny(name).state_dict())
    policy.decoder.net = counted = Counted(policy.decoder.net)
    seen = invent_observation(ARM, 1, history=policy.history)
    acted, again = (policy.act(seen, None, rng())[0].actions for _ in range(2))
    assert counted.calls == 4 and set(counted.seen) == set(FEW_STEPS[name])
    assert acted.shape[-1] == ARM.action.dim and (acted == again).all()
    terms = policy.loss_terms(batch_for(policy), rng())
    assert set(terms) == {"consistency"} and bool((terms["consistency"] > 0).all())
