"""The shared wiring of flow experts: who looks at whom, where the state is read, what may learn."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
from bodies import gripper_arm

from embodia.builders.flow_vla import FlowVlaConfig, flow_policy, flow_vla, tiny_vla
from embodia.core.errors import ConfigError
from embodia.core.invent import invent_batch, invent_observation
from embodia.core.types import Observation, TokenGroup
from embodia.nn.bins import bin_centres, state_bins
from embodia.parts.encoders.state import StateToken
from embodia.parts.thought import ThoughtConfig
from embodia.policies import PolicySpec, make, pi05

ARM = gripper_arm()


class Touch(nn.Module):
    """A sense of one token, the sum of the state."""

    def __init__(self, width):
        super().__init__()
        self.project = nn.Linear(1, width)

    def forward(self, observation):
        tokens = self.project(observation.state.sum(-1, keepdim=True)[:, -1:])
        return TokenGroup(name="touch", tokens=tokens, mask=None, attends_to=("touch",))


def policy_of(config):
    return flow_policy(ARM, 6, config, flow_vla(ARM, 6, config), None)


def test_suffix_state_is_read_by_the_expert_alone():
    made = flow_vla(ARM, 6, tiny_vla())
    assert made.backbone.attention == {"image": ("image", "language"), "language": ("image", "language")}
    assert made.decoder.velocity.attention == {
        "state": ("image", "language", "state"),
        "action": ("image", "language", "state", "action"),
    }
    assert made.encoders["state"].project[0].out_features == made.decoder.velocity.transformer.config.width


def test_prefix_state_sees_and_is_not_seen():
    made = flow_vla(ARM, 6, tiny_vla(state="prefix"))
    assert made.backbone.attention["image"] == ("image", "language")
    assert made.backbone.attention["state"] == ("image", "language", "state")
    assert made.decoder.velocity.attention == {"action": ("image", "language", "state", "action")}


def test_binned_state_and_senses_are_seen_by_all():
    made = flow_vla(ARM, 6, tiny_vla(state="binned"), senses={"touch": Touch(192)})
    together = ("image", "language", "touch", "state")
    assert made.backbone.attention == dict.fromkeys(together, together)
    assert tuple(made.encoders) == together


def test_later_groups_see_and_are_not_seen():
    made = flow_vla(ARM, 6, tiny_vla(state="none"), later={"touch": Touch(192)})
    assert made.backbone.attention["touch"] == ("image", "language", "touch")
    assert made.backbone.attention["language"] == ("image", "language")


def test_a_causal_reader_keeps_its_order():
    config = tiny_vla(state="binned")
    made = flow_vla(ARM, 6, replace(config, vlm=replace(config.vlm, causal=True)))
    assert made.backbone.attention["image"] == ("image",) and made.backbone.within == "causal"


@pytest.mark.parametrize("state", ["suffix", "prefix", "binned"])
def test_the_state_moves_the_actions_wherever_it_is_read(state):
    policy = policy_of(tiny_vla(state=state)).eval()
    seen = invent_observation(ARM, 1)
    moved = replace(seen, state=seen.state + 0.3)
    acted = [policy.act(item, None, torch.Generator().manual_seed(0))[0].actions for item in (seen, moved)]
    assert not np.allclose(*acted)


def test_what_nobody_reads_is_frozen_unless_it_is_read():
    silent = flow_vla(ARM, 6, tiny_vla()).backbone
    spoken = flow_vla(ARM, 6, tiny_vla(), outputs=True).backbone
    last = silent.engine.layers[-1]
    frozen = {id(p) for p in silent.parameters() if not p.requires_grad}
    assert frozen == {id(p) for p in silent.engine.unread_parameters()} and id(last.attention.key.weight) not in frozen
    assert all(p.requires_grad for p in spoken.parameters())


def test_insulation_leaves_the_reader_without_a_gradient():
    policy = policy_of(replace(tiny_vla(), insulated=True))
    velocity = policy.decoder.velocity
    condition = velocity.condition(policy.context(invent_observation(ARM, 2).map(torch.from_numpy)))
    velocity(condition, torch.randn(2, 6, 4), torch.rand(2)).square().sum().backward()
    assert all(p.grad is None for p in policy.backbone.parameters())
    assert all(p.grad is None for p in policy.encoders["image"].parameters())
    assert policy.encoders["state"].project[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("change", [{"kv_heads": 2}, {"head_dim": 24}, {"rope_theta": 1e5}])
def test_an_expert_that_cannot_read_the_cache_is_refused(change):
    config = tiny_vla()
    with pytest.raises(ConfigError, match="turning"):
        flow_vla(ARM, 6, replace(config, expert=replace(config.expert, **change)))


def test_paper_default_pads_to_pi0s_width():
    with torch.device("meta"):
        made = flow_vla(gripper_arm(224, 1), 50, FlowVlaConfig())
    assert made.decoder.width == 32 and made.encoders["state"].project.in_features == 32


def test_bins_as_numpy_counts_them_and_back():
    values = torch.linspace(-0.99999, 0.99999, 2001)
    expected = np.digitize(values.numpy(), np.linspace(-1, 1, 257)[:-1]) - 1
    assert np.array_equal(state_bins(values).numpy(), expected)
    assert state_bins(torch.tensor([-3.0, 1.0, 5.0])).tolist() == [0, 255, 255]
    assert (bin_centres(state_bins(values)) - values).abs().max() <= 1 / 256 + 1e-6


def test_binned_state_knows_no_more_than_its_bins():
    token = StateToken(2, 8, positions=False, binned=True)
    near, far = torch.tensor([[[0.1001, 0.5]], [[0.1002, 0.5]]]), torch.tensor([[[0.2, 0.5]]])
    one, other = token(Observation(state=near)).tokens
    assert torch.equal(one, other)
    assert not torch.allclose(one, token(Observation(state=far)).tokens[0])


def spoken(**changes):
    policy = make(PolicySpec(name="pi05", size="tiny", contract=ARM, config=pi05_config(**changes)), seed=0)
    return policy, invent_batch(policy.contract, 4).map(torch.from_numpy)


def pi05_config(**changes):
    config = pi05.preset("tiny")
    return replace(config, model=replace(config.model, **changes))


def test_the_actions_read_the_sub_task():
    policy, batch = spoken()
    policy.eval()
    seen, noise, time = policy.normalize(batch.observation), torch.randn(4, 12, 4), torch.rand(4)
    assert policy.decoder.velocity.attention["action"] == ("image", "language", "state", "thought", "action")
    found = []
    for texts in (("open",) * 4, ("close",) * 4, ("",) * 4):
        with torch.no_grad():
            told, _ = policy.thought.teach(bare(policy, seen), texts)
            found.append(policy.decoder.velocity(policy.decoder.velocity.condition(told), noise, time))
    assert not torch.allclose(found[0], found[1]) and not torch.allclose(found[0], found[2])


def bare(policy, seen):
    """What is read before anything is said."""
    groups, _ = policy._encode(seen)
    return policy._think(groups)


def test_a_silent_policy_acts_all_the_same():
    policy, batch = spoken(thought=ThoughtConfig(length=16, silent=True))
    chunk, _ = policy.eval().act(batch.observation, None, torch.Generator().manual_seed(0))
    assert np.isfinite(chunk.actions).all()


def test_insulated_knowledge_reaches_the_reader_and_the_flow_does_not():
    config = pi05.insulated(pi05.preset("tiny"))
    policy = make(PolicySpec(name="pi05", size="tiny", contract=ARM, config=config), seed=0)
    batch = invent_batch(policy.contract, 4).map(torch.from_numpy)
    assert policy.must_fit
    policy.fit(batch.chunk.actions)
    reader = policy.backbone.engine.layers[0].attention.key.weight
    for name, reached in (("flow", False), ("token", True), ("thought", True)):
        policy.zero_grad()
        policy.loss_terms(batch, torch.Generator().manual_seed(0))[name].sum().backward()
        assert (reader.grad is not None and bool(reader.grad.any())) == reached, name


def test_knowledge_is_never_said_in_use():
    plain, batch = spoken()
    config = pi05.insulated(pi05.preset("tiny"))
    knowing = make(PolicySpec(name="pi05", size="tiny", contract=ARM, config=config), seed=5)
    knowing.load_state_dict(plain.state_dict(), strict=False)
    acted = [
        p.eval().act(batch.observation, None, torch.Generator().manual_seed(0))[0].actions for p in (plain, knowing)
    ]
    np.testing.assert_allclose(*acted, atol=1e-6)
