"""Force and touch as tokens, and the fusion that corrects a velocity by them."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
from bodies import gripper_arm, statistics

from embodia.core.errors import ConfigError, ShapeError
from embodia.core.invent import invent_batch, invent_observation
from embodia.core.specs import SenseSpec
from embodia.core.types import Observation, TokenGroup
from embodia.parts.context import Context
from embodia.parts.encoders.senses import SenseToken, logarithmic, sense_of
from embodia.parts.fusion.expert_guide import BalancedExperts, ExpertGuide, GuideConfig
from embodia.policies import PolicySpec, make

ARM = gripper_arm()
WRENCH = SenseSpec(name="wrench", shape=(6,), units="N")


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def test_signed_logarithm_by_hand():
    x = torch.tensor([-99.0, -0.01, 0.0, 0.01, 99.0])
    expected = np.sign(x.numpy()) * np.log(1 + np.abs(x.numpy()))
    np.testing.assert_allclose(logarithmic(x).numpy(), expected, rtol=1e-6)


def test_one_token_of_the_newest_steps():
    token, readings = SenseToken(WRENCH, 8, window=2), torch.randn(3, 4, 6)
    group = token(Observation(wrench=readings))
    assert group.name == "wrench" and group.tokens.shape == (3, 1, 8)
    older = readings.clone()
    older[:, :2] += 5.0
    newer = readings.clone()
    newer[:, 2] += 5.0
    torch.testing.assert_close(token(Observation(wrench=older)).tokens, group.tokens)
    assert not torch.allclose(token(Observation(wrench=newer)).tokens, group.tokens)


def test_a_short_history_repeats_its_oldest_step():
    token, readings = SenseToken(WRENCH, 8, window=3), torch.randn(2, 1, 6)
    found = token(Observation(wrench=readings)).tokens
    torch.testing.assert_close(found, token(Observation(wrench=readings.expand(-1, 3, -1))).tokens)


def test_a_body_that_cannot_feel_is_named():
    deaf = replace(ARM, observation=replace(ARM.observation, senses=()))
    with pytest.raises(ConfigError, match="wrench"):
        sense_of(deaf.observation, "wrench")
    with pytest.raises(ConfigError, match="touch"):
        make(PolicySpec(name="tactile_vla", size="tiny", contract=deaf))
    with pytest.raises(ShapeError, match="wrench"):
        SenseToken(WRENCH, 8)(Observation())


def context(words=9, mask=None):
    groups = {
        "language": TokenGroup(name="language", tokens=torch.randn(2, words, 12), mask=mask, attends_to=("language",)),
        "wrench": TokenGroup(name="wrench", tokens=torch.randn(2, 1, 12), mask=None, attends_to=("wrench",)),
    }
    return Context(groups=groups)


def test_guide_gives_one_token_an_action_and_needs_as_many():
    guide = ExpertGuide(GuideConfig(heads=2), ("language", "wrench"), 12, 7, horizon=5)
    assert guide(context()).shape == (2, 5, 7)
    with pytest.raises(ConfigError, match="4 tokens"):
        guide(context(words=3))


def test_guide_does_not_read_padding():
    guide = ExpertGuide(GuideConfig(heads=2), ("language", "wrench"), 12, 7, horizon=2)
    mask = torch.tensor([[True] * 9, [True] * 5 + [False] * 4])
    given = context(mask=mask)
    tokens = given.groups["language"].tokens.clone()
    tokens[1, 5:7] += 9.0
    changed = Context(groups={**given.groups, "language": replace(given.groups["language"], tokens=tokens)})
    torch.testing.assert_close(guide(given)[1, -1], guide(changed)[1, -1])


def test_balance_head_is_the_guides_own_routing():
    guide = ExpertGuide(GuideConfig(heads=2), ("language", "wrench"), 12, 7, horizon=5)
    head, given = BalancedExperts(guide), context()
    assert not list(head.parameters())
    term = head.loss_terms(given, None, None)["balance"]
    routing, mask = guide.routing(given)
    torch.testing.assert_close(term, routing.balance(mask))
    assert ((term >= 0.9) & (term <= 4.0)).all()


@pytest.mark.parametrize(("name", "sense"), [("forcevla", "wrench"), ("tactile_vla", "touch")])
def test_what_is_felt_moves_the_actions(name, sense):
    policy = make(PolicySpec(name=name, size="tiny", contract=ARM), statistics(ARM), seed=0).eval()
    seen = invent_observation(ARM, 1, history=policy.history)
    pressed = replace(seen, **{sense: getattr(seen, sense) + 1.0})
    acted = [policy.act(item, None, torch.Generator().manual_seed(0))[0].actions for item in (seen, pressed)]
    assert np.abs(acted[0] - acted[1]).max() > 1e-5


def test_force_never_enters_the_language_model():
    policy = make(PolicySpec(name="forcevla", size="tiny", contract=ARM), statistics(ARM), seed=0)
    assert set(policy.backbone.attention) == {"image", "language"}
    batch = invent_batch(policy.contract, 2).map(torch.from_numpy)
    assert set(policy.loss_terms(batch, torch.Generator().manual_seed(0))) == {"flow", "balance"}
