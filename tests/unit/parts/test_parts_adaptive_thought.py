"""Thinking when needed: what is recalled in training, who thinks anew in use, and that the switch learns."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
from bodies import gripper_arm

from embodia.core.errors import ConfigError
from embodia.core.invent import invent_batch, invent_observation
from embodia.parts.adaptive_thought import recall
from embodia.policies import PolicySpec, make, onetwovla

ARM = gripper_arm()


def policy_and_context(batch=4):
    torch.manual_seed(0)
    policy = make(PolicySpec(name="onetwovla", size="tiny", contract=ARM), seed=0).eval()
    groups, _ = policy._encode(policy.normalize(invent_observation(ARM, batch)))
    return policy, policy._think(groups)


def forced(policy, answer):
    """A switch that always says the same."""
    policy.thought.decide.weight.data.zero_()
    policy.thought.decide.bias.data.fill_(answer)


def test_half_recall_their_own_and_half_a_neighbours():
    assert recall(("a", "b", "c", "d")) == ("a", "c", "c", "a")
    assert recall(("a",)) == ("a",)


def test_the_switch_is_taught_what_no_longer_holds():
    policy, context = policy_and_context()
    texts = ("open the drawer", "push the puck", "push the puck", "close the drawer")
    assert recall(texts) == ("open the drawer", "push the puck", "push the puck", "open the drawer")
    forced(policy, 8.0)  # always thinks
    _, terms = policy.thought.teach(context, texts)
    assert (terms["switch"] > 5).tolist() == [True, True, True, False]


def test_samples_without_a_text_cost_nothing():
    policy, context = policy_and_context()
    _, terms = policy.thought.teach(context, ("", "push", "", ""))
    assert terms["switch"][0] == 0 and terms["switch"][2] == 0 and terms["switch"][1] > 0


def test_rows_that_act_keep_what_was_said():
    policy, context = policy_and_context()
    old = ("open the drawer", "push the puck", "", "close the drawer")
    forced(policy, -8.0)
    acted, said = policy.thought.speak(context, None, old)
    assert said == old
    again, _ = policy.thought.thought.speak(context, None, old)
    torch.testing.assert_close(acted.cache.layers[0][0], again.cache.layers[0][0])
    forced(policy, 8.0)
    _, said = policy.thought.speak(context, None, old)
    _, fresh = policy.thought.thought.speak(context, None)
    assert said == fresh


def test_a_mixed_batch_thinks_where_it_must():
    policy, context = policy_and_context()
    old = ("open the drawer", "push the puck", "a", "b")
    policy.thought.logits = lambda *_: torch.tensor([1.0, -1.0, 1.0, -1.0])
    _, said = policy.thought.speak(context, None, old)
    _, fresh = policy.thought.thought.speak(context, None)
    assert said == (fresh[0], old[1], fresh[2], old[3])


def test_the_switch_hears_the_recalled_text():
    policy, context = policy_and_context()
    one, other = (policy.thought.logits(context, (text,) * 4) for text in ("open the drawer", "push the puck"))
    assert not torch.allclose(one, other)


def test_the_last_thought_crosses_decisions():
    policy, _ = policy_and_context()
    forced(policy, -8.0)
    seen, rng = invent_observation(ARM, 2), torch.Generator().manual_seed(0)
    _, carry = policy.act(seen, None, rng)
    assert carry.thought == ("", "") and carry.decisions == 1
    _, carry = policy.act(seen, carry, rng)
    assert carry.thought == ("", "")


def test_the_switch_and_the_words_learn_together():
    policy, _ = policy_and_context()
    batch = invent_batch(policy.contract, 4).map(torch.from_numpy)
    terms = policy.loss_terms(batch, torch.Generator().manual_seed(0))
    assert set(terms) == {"flow", "thought", "switch"}
    terms["switch"].sum().backward()
    assert policy.thought.token.grad.abs().sum() > 0


def test_nothing_to_think_is_refused():
    from dataclasses import replace

    config = onetwovla.preset("tiny")
    config = replace(config, model=replace(config.model, thought=None))
    with pytest.raises(ConfigError, match="thought"):
        make(PolicySpec(name="onetwovla", size="tiny", contract=ARM, config=config))
