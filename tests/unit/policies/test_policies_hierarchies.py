"""Two systems at two rates, and unified models: what each design claims about who sees what, held against the code."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
from bodies import gripper_arm, statistics

from embodia.core.invent import invent_batch, invent_observation
from embodia.parts.compose import parameter_count
from embodia.policies import PolicySpec, complete, make

ARM = gripper_arm()
DEAF_BELOW = ("helix", "hirt", "robodual", "openhelix", "fast_in_slow", "gemini_robotics", "figure01", "trivla")


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def tiny(name, contract=ARM, **changes):
    config = complete(PolicySpec(name=name, size="tiny", contract=contract)).config
    spec = PolicySpec(name=name, size="tiny", contract=contract, config=replace(config, **changes))
    return make(spec, statistics(contract), seed=0).eval()


def batch_for(policy, size=2):
    invented = invent_batch(
        policy.contract, size, history=policy.history, ahead=len(policy.ahead), later=len(policy.later)
    )
    return invented.map(torch.from_numpy)


@pytest.mark.parametrize("name", DEAF_BELOW)
def test_the_instruction_reaches_the_fast_system_through_the_link_alone(name):
    policy = tiny(name)
    seen = invent_observation(ARM, 1, history=policy.history)
    deaf = replace(seen, instruction=("something else entirely",))
    _, carry = policy.act(seen, None, rng())
    held = policy.act(seen, carry, rng())[0].actions
    assert np.allclose(held, policy.act(deaf, carry, rng())[0].actions, atol=1e-6)
    assert not np.allclose(
        policy.act(seen, None, rng())[0].actions, policy.act(deaf, None, rng())[0].actions, atol=1e-7
    )


@pytest.mark.parametrize("name", ["helix", "robodual", "trivla"])
def test_the_rates_are_those_of_the_configuration(name):
    policy = tiny(name)
    rates = complete(PolicySpec(name=name, size="tiny", contract=ARM)).config.systems.rates
    assert policy.upper.every == rates.every and policy.upper.stale == rates.stale
    assert policy.history == policy.own_history + rates.stale
    assert policy.inference.execute == rates.execute


def test_a_specialist_does_not_disturb_the_generalists_actions():
    policy = tiny("robodual").train()
    terms = policy.loss_terms(batch_for(policy), rng())
    terms["denoise"].sum().backward()
    generalist = policy.upper.decoder
    assert all(parameter.grad is None for parameter in generalist.parameters())
    assert policy.upper.encoders["plan"].tokens.grad.abs().sum() > 0


def test_gemini_robotics_gradient_runs_through_the_course():
    policy = tiny("gemini_robotics").train()
    policy.loss_terms(batch_for(policy), rng())["l1"].sum().backward()
    assert policy.upper.decoder.head[-1].weight.grad.abs().sum() > 0


def test_openhelix_tunes_the_prompt_alone_where_asked():
    policy = tiny("openhelix", tuned="prompt")
    learning = {name for name, parameter in policy.upper.named_parameters() if parameter.requires_grad}
    assert "encoders.act.tokens" in learning
    assert all(name.startswith(("encoders.act", "link")) for name in learning)
    cut = tiny("openhelix", cut=True).train()
    cut.loss_terms(batch_for(cut), rng())["denoise"].sum().backward()
    assert cut.upper.encoders["act"].tokens.grad is None


def test_fast_in_slow_shares_its_last_blocks():
    policy = tiny("fast_in_slow").train()
    owned = dict(policy.upper.backbone.engine.named_parameters())
    assert not list(policy.backbone.parameters())
    message = {k: v.detach() for k, v in policy.upper.speak(batch_for(policy).observation, None).arrays.items()}
    groups = {
        key: policy.encoders[key](policy._own(policy.normalize(batch_for(policy).observation)))
        for key in ("image", "state")
    }
    found, _ = policy.backbone(
        policy.upper.link.absorb(groups, type(policy.upper.link.emit({"plan": groups["state"]}))(arrays=message))
    )
    found["image"].tokens.square().sum().backward()
    touched = {name for name, parameter in owned.items() if parameter.grad is not None}
    assert touched and all(name.startswith(("layers.2", "norm")) for name in touched)


def test_figure01_calls_one_of_its_skills():
    policy = tiny("figure01")
    message = policy.upper.speak(policy.normalize(batch_for(policy).observation), None)
    called = policy.upper.link.called(message)
    assert len(called) == 2 and all(tool in policy.upper.link.tools for tool in called)


def test_dexgraspvla_points_into_every_picture():
    policy = tiny("dexgraspvla")
    boxes = policy.upper.speak(policy.normalize(batch_for(policy).observation), None).arrays["boxes"]
    assert boxes.shape == (2, 2, 4) and (boxes > 0).all() and (boxes < 1).all()


def test_trivla_learns_its_dynamics_from_later_pictures():
    policy = tiny("trivla").train()
    policy.loss_terms(batch_for(policy), rng())["dynamics"].sum().backward()
    assert policy.upper.encoders["dynamics"].queries.grad.abs().sum() > 0
    assert policy.upper.encoders["plan"].tokens.grad is None


def test_dreams_do_not_see_one_another():
    table = tiny("dreamvla").backbone.attention
    kinds = ("moving", "meaning", "depth")
    for kind in kinds:
        assert not set(table[kind]) & (set(kinds) - {kind}) and "act" not in table[kind]
    assert set(kinds) <= set(table["act"])


def test_dreams_are_of_depth_only_where_it_is_measured():
    blind = replace(ARM, observation=replace(ARM.observation, senses=()))
    assert set(tiny("dreamvla").heads) == {"moving", "meaning", "depth"}
    assert set(tiny("dreamvla", blind).heads) == {"moving", "meaning"}


def test_gr1_counts_as_published_and_freezes_what_it_should():
    with torch.device("meta"):
        policy = make(PolicySpec(name="gr1", size="paper", contract=gripper_arm(224)))
    trained = sum(parameter.numel() for parameter in policy.parameters() if parameter.requires_grad)
    assert trained == pytest.approx(46e6, rel=0.03)
    assert parameter_count(policy) == pytest.approx(195e6, rel=0.01)


def test_gr1_foresees_without_actions_too():
    policy = tiny("gr1").train()
    seen = batch_for(policy)
    silent = replace(seen, chunk=replace(seen.chunk, valid=torch.zeros_like(seen.chunk.valid)))
    terms = policy.loss_terms(silent, rng())
    assert (terms["picture"] > 0).all()
    assert all((terms[name] == 0).all() for name in terms if name in ("l1", "gripper"))


def test_two_formulations_of_robovlms():
    head, sequence = tiny("robovlms"), tiny("robovlms", form="sequence")
    seen = batch_for(head).observation
    with torch.no_grad():
        assert head.context(seen).groups["act"].tokens.shape[1] == 2
        assert sequence.context(seen).groups["act"].tokens.shape[1] == 1


def test_the_recurrent_policies_remember():
    for name in ("one_hot", "stepputtis", "roboflamingo", "robovlms"):
        policy = tiny(name)
        seen = invent_observation(ARM, 1, history=2)
        other = invent_observation(ARM, 1, history=2, seed=3)
        past = {key: np.concatenate([other.images[key][:, :1], image[:, 1:]], 1) for key, image in seen.images.items()}
        changed = replace(seen, images=past)
        assert not np.allclose(policy.act(seen, None, rng())[0].actions, policy.act(changed, None, rng())[0].actions)


def test_hi_robot_hears_what_was_said_above():
    policy = tiny("hi_robot")
    assert policy.answers == "subtask"
    seen = invent_observation(ARM, 2, history=policy.history)
    _, carry = policy.act(seen, None, rng())
    assert len(carry.message.text) == 2
    held = replace(carry, message=replace(carry.message, text=("close the drawer",) * 2))
    first = policy.act(seen, replace(held, decisions=1), rng())[0].actions
    other = replace(held, message=replace(held.message, text=("push the red cube",) * 2), decisions=1)
    assert not np.allclose(first, policy.act(seen, other, rng())[0].actions)


def test_hi_robot_is_taught_the_answer_and_acts_on_it():
    policy = tiny("hi_robot").train()
    seen = batch_for(policy)
    base = policy.loss_terms(seen, rng())
    assert "upper_thought" in base
    told = policy.loss_terms(replace(seen, answer=("turn left", "turn left")), rng())
    assert not torch.allclose(base["flow"], told["flow"])


def test_up_vla_learns_to_describe_and_says_nothing_in_use():
    policy = tiny("up_vla")
    assert policy.answers == "scene"
    terms = policy.loss_terms(batch_for(policy), rng())
    assert {"thought", "picture", "picture_codes"} <= set(terms) and terms["thought"][0] > 0
    _, carry = policy.act(invent_observation(ARM, 1, history=policy.history), None, rng())
    assert carry.thought == ()


def test_worldvla_hides_earlier_actions_and_foretells_from_the_true_ones():
    policy = tiny("worldvla")
    assert "act" not in policy.backbone.attention["act"]
    assert "act" in tiny("worldvla", hidden=False).backbone.attention["act"]
    seen = batch_for(policy)
    seen = replace(seen, chunk=replace(seen.chunk, valid=torch.ones_like(seen.chunk.valid)))
    other = replace(seen, chunk=replace(seen.chunk, actions=-seen.chunk.actions))
    assert not torch.allclose(policy.loss_terms(seen, rng())["world"], policy.loss_terms(other, rng())["world"])


def test_cot_vla_acts_on_its_goal_tokens():
    policy = tiny("cot_vla")
    assert "goal" in policy.backbone.attention["act"] and "act" not in policy.backbone.attention["goal"]
    seen = batch_for(policy)
    terms = policy.train().loss_terms(seen, rng())
    terms["token"].sum().backward()
    assert policy.encoders["goal"].tokens.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in policy.heads["codes"].parameters())


@pytest.mark.parametrize("name", ["cot_vla", "worldvla"])
def test_pictures_can_be_read_as_codes(name):
    policy = tiny(name, coded=True, ahead=())
    seen = invent_observation(ARM, 1, history=1)
    dark = replace(seen, images={key: np.zeros_like(image) for key, image in seen.images.items()})
    with torch.no_grad():
        bright = policy.context(seen).groups["image"].tokens
        assert bright.shape[1] == policy.heads["codes"].count
        assert not torch.allclose(bright, policy.context(dark).groups["image"].tokens)


def test_being_h0_has_words_for_wrist_and_fingers_and_learns_them_first():
    from embodia.policies.being_h0 import hand_parts

    assert hand_parts(ARM.action) == {"wrist": (0, 1, 2), "fingers": (3,)}
    policy = tiny("being_h0")
    assert policy.must_fit
    wave = torch.linspace(0, 6, 300)[:, None, None] + torch.linspace(0, 1, 12)[None, :, None]
    chunks = torch.cat([wave.sin(), wave.cos(), 0.5 * wave.sin(), wave.sin().sign()], dim=-1)
    tokenizer = policy.decoder.tokenizer
    normalised = policy.action_units.do(chunks)
    before = (tokenizer.decode(tokenizer.encode(normalised)) - normalised).abs().mean()
    policy.fit(chunks)
    assert (tokenizer.decode(tokenizer.encode(normalised)) - normalised).abs().mean() < 0.5 * before
