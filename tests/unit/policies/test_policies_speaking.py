"""Policies that speak: what each paper says about itself, checked where it can be seen; variants; thoughts in use."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from embodia.builders.speaking import action_words
from embodia.core.invent import invent_batch, invent_observation
from embodia.nn.bitlinear import BitLinear, packed_bits
from embodia.nn.vocabulary import Vocabulary
from embodia.parts.acting import Carry
from embodia.parts.backbones.language_model import LanguageModel
from embodia.parts.compose import parameter_count
from embodia.parts.encoders.prompt import prompts
from embodia.parts.thought import ThoughtConfig
from embodia.policies import FOLDER, PolicySpec, complete, make

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
from bodies import gripper_arm, statistics

ARM = gripper_arm()
THINKING = ("ecot", "rt_h", "emma_x", "rad", "inspire", "reasonmanip")
SPEAKING = (*THINKING, "openvla", "rt2", "pi0_fast", "nora", "magma", "tracevla", "vtla")
READING = ("openvla_oft", "bitvla", "robomamba")


def tiny(name, contract=ARM, **changes):
    spec = complete(PolicySpec(name=name, size="tiny", contract=contract))
    config = replace(spec.config, **changes)
    return make(replace(spec, config=config), statistics(contract), seed=0).eval()


def paper(name):
    return complete(PolicySpec(name=name, size="paper", contract=ARM)).config


def batch_of(policy, size=3, answers=None, padded=False):
    found = invent_batch(policy.contract, size, history=policy.history, ahead=len(policy.ahead), padded=padded)
    found = found.map(torch.from_numpy)
    return found if answers is None else replace(found, answer=answers)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", (*SPEAKING, *READING))
def test_a_body_without_language_and_with_one_camera_is_served(name):
    body = gripper_arm(cameras=1, language=False)
    policy = tiny(name, body)
    seen = invent_observation(body, 2, history=policy.history)
    chunk, _ = policy.act(seen, None, rng())
    assert chunk.actions.shape == (2, policy.contract.action.chunk, 4)


@pytest.mark.parametrize("name", THINKING)
def test_thoughts_have_a_kind_and_are_carried(name):
    policy = tiny(name)
    assert policy.answers in ("brief", "motion", "relation", "reasoning")
    _, carry = policy.act(invent_observation(ARM, 2), None, rng())
    assert isinstance(carry, Carry) and len(carry.thought) == 2
    assert complete(PolicySpec(name=name, size="paper", contract=ARM)).config.answers


@pytest.mark.parametrize("name", THINKING)
def test_the_loss_teaches_words_and_actions(name):
    policy = tiny(name)
    terms = policy.loss_terms(batch_of(policy, answers=("move arm left", "", "stay")), rng())
    assert terms["thought"][1] == 0 and (terms["thought"][[0, 2]] > 0).all()
    assert (terms["token"] > 0).all()


def test_openvlas_ids_are_those_of_its_public_tokenizer():
    config = paper("openvla")
    assert config.chunk == 1 and config.vlm.causal
    assert config.vlm.text.template.format(lowered="lift the cup") == (
        "In: What action should the robot take to lift the cup?\nOut:"
    )
    with torch.device("meta"):
        model = LanguageModel(nn.Identity(), {}, Vocabulary(32064, 8, head="own"))
    decoder = action_words(config.speech, model, 8, 7, 1)
    values = torch.linspace(-0.999, 0.999, 7 * 40).view(40, 1, 7)
    edges = np.linspace(-1, 1, 256)  # 32000 text pieces, the last 256 of them taken for 255 intervals
    expected = 32000 - np.digitize(values.numpy(), edges)
    assert np.array_equal(decoder.tokenizer.encode(values).numpy(), expected.reshape(40, 7))
    centres = (edges[:-1] + edges[1:]) / 2
    found = decoder.tokenizer.decode(decoder.tokenizer.encode(values)).numpy()
    assert np.allclose(found, centres[32000 - expected - 1], atol=1e-6)
    assert decoder.tokenizer.decode(torch.full((1, 7), 31744)).min() == pytest.approx(centres[-1])


def test_a_step_of_openvla_is_one_id_a_dimension():
    policy = tiny("openvla", chunk=1, ahead=())
    assert policy.decoder.length == 4
    assert policy.act(invent_observation(ARM, 2), None, rng())[0].actions.shape == (2, 1, 4)


def test_pi0_fast_writes_its_state_into_the_prompt():
    config = paper("pi0_fast")
    seen = invent_observation(ARM, 1)
    text = prompts(seen.map(torch.from_numpy), config.vlm.text.template, 256)[0]
    assert text.startswith("Task: push the puck to the goal, State: ") and text.endswith(";\n")
    assert len(text.split("State: ")[1].split(";")[0].split()) == 4
    assert config.speech.kind == "fast" and config.speech.mapped and config.chunk == 50


def test_pi0_fast_says_less_after_it_was_fitted():
    policy = tiny("pi0_fast")
    steps = torch.linspace(0, 3.14, 12)
    waves = torch.stack([torch.sin(steps + shift) for shift in torch.linspace(0, 6, 400)])[..., None].expand(-1, -1, 4)
    before = (policy.decoder.tokenizer.encode(waves[:8]) >= 0).sum()
    assert policy.must_fit
    policy.decoder.tokenizer.fit(waves)
    after = (policy.decoder.tokenizer.encode(waves[:8]) >= 0).sum()
    assert after < before / 2


def test_nora_adds_its_pieces_to_the_vocabulary():
    config = paper("nora")
    assert config.vlm.text.vocabulary == 151936 + 2048 and config.speech.ids == 2048
    assert complete(PolicySpec(name="nora", size="tiny", contract=ARM)).config.vlm.causal


def test_rt2_mixes_language_rows_that_have_no_action():
    policy = tiny("rt2")
    data = batch_of(policy)
    silent = data.chunk.valid.clone()
    silent[1] = False
    terms = policy.loss_terms(replace(data, chunk=replace(data.chunk, valid=silent)), rng())
    assert terms["token"][1] == 0 and terms["token"][0] > 0


def test_rad_learns_words_from_rows_without_actions():
    policy = tiny("rad").train()
    data = batch_of(policy, answers=("move arm left", "move arm up", "stay"))
    none = replace(data, chunk=replace(data.chunk, valid=torch.zeros_like(data.chunk.valid)))
    terms = policy.loss_terms(none, rng())
    assert terms["token"].tolist() == [0, 0, 0]
    terms["thought"].sum().backward()
    assert policy.thought.words.table.weight.grad.abs().sum() > 0
    assert policy.decoder.words.table.weight.grad is None or not policy.decoder.words.table.weight.grad.any()


def test_a_person_corrects_the_motion_of_rt_h():
    policy = tiny("rt_h")
    policy.inference = replace(policy.inference, think_every=10)
    seen = invent_observation(ARM, 1)
    _, carry = policy.act(seen, None, rng())
    corrected = replace(carry, thought=("close gripper",), decisions=1)
    _, held = policy.act(seen, corrected, rng())
    assert held.thought == ("close gripper",)
    context, _ = policy._perceive(policy.normalize(seen), 1, rng(), corrected)
    words = policy.thought.spelling.encode("close gripper")
    assert context.cache.spans[-1].name == "thought" and context.cache.spans[-1].length == len(words) + 1


def test_ecot_lite_acts_without_its_reasoning_and_faster():
    full, lite = tiny("ecot"), tiny("ecot", thought=ThoughtConfig(length=24, drop=0.5, silent=True))
    seen = invent_observation(ARM, 1)
    _, carry = lite.act(seen, None, rng())
    assert carry.thought == ()
    spans = [item.name for item in lite.context(seen).cache.spans]
    assert "thought" not in spans and "thought" in [item.name for item in full.context(seen).cache.spans]
    terms = lite.train().loss_terms(batch_of(lite), rng())
    assert terms["thought"].sum() > 0


def test_fast_ecot_thinks_only_now_and_then():
    policy = tiny("ecot")
    policy.inference = replace(policy.inference, think_every=3)
    calls = []
    speak = policy.thought.speak

    def counted(context, generator, said=()):
        calls.append(bool(said))
        return speak(context, generator, said)

    policy.thought.speak = counted
    seen, carry = invent_observation(ARM, 1), None
    for _ in range(6):
        _, carry = policy.act(seen, carry, rng())
    assert calls.count(False) == 2 and calls.count(True) == 4


def test_inspire_asks_where_the_thing_is():
    config = paper("inspire")
    assert config.vlm.text.template.startswith("In which direction is the object")
    assert config.answers == "relation" and config.thought.length <= 16


def test_magmas_marks_are_learned_and_not_read():
    policy = tiny("magma").train()
    data = batch_of(policy, answers=("the red cube [1 2 3 4]", "nothing", "the bowl [5 6 7 8]"))
    other = replace(data, answer=("nothing", "the red cube [9 9 9 9]", ""))
    first, second = (policy.loss_terms(one, rng()) for one in (data, other))
    assert torch.equal(first["token"], second["token"])
    assert not torch.equal(first["thought"], second["thought"])


def test_tracevla_sees_what_moved():
    policy = tiny("tracevla")
    seen = invent_observation(ARM, 1, history=policy.history)
    films = {}
    for name, film in seen.images.items():
        film = np.zeros_like(film)
        for step in range(film.shape[1]):
            film[:, step, 10:16, 4 + 4 * step : 10 + 4 * step] = 255
        films[name] = film
    moving = replace(seen, images=films)
    still = replace(seen, images={name: np.repeat(film[:, -1:], film.shape[1], axis=1) for name, film in films.items()})
    chunk = batch_of(policy, 1).chunk
    with torch.no_grad():
        first, second = (policy.log_prob(one.map(torch.from_numpy), chunk) for one in (moving, still))
    assert not torch.allclose(first, second, atol=1e-5)
    assert parameter_count(policy) == parameter_count(tiny("openvla"))


def test_vtla_feels_and_does_without_pads():
    policy = tiny("vtla")
    seen = invent_observation(ARM, 1)
    pressed = replace(seen, touch=seen.touch + 5)
    chunk = batch_of(policy, 1).chunk
    with torch.no_grad():
        first, second = (policy.log_prob(one.map(torch.from_numpy), chunk) for one in (seen, pressed))
    assert not torch.allclose(first, second, atol=1e-5)
    numb = replace(ARM, observation=replace(ARM.observation, senses=()))
    assert "touch" not in tiny("vtla", numb).encoders


def test_written_numbers_are_read_back():
    for name in ("vtla", "reasonmanip"):
        policy = tiny(name)
        data = batch_of(policy)
        actions = policy.normalize_chunk(data.chunk).actions.clamp(-1, 1)
        words = policy.decoder.tokenizer
        assert torch.allclose(words.decode(words.encode(actions)), actions, atol=0.0051)


def test_all_named_policies_exist():
    assert {*SPEAKING, *READING} <= set(FOLDER.names())


def test_openvla_oft_fills_its_chunk_in_one_pass():
    policy = tiny("openvla_oft")
    passes = []
    run = policy.backbone.forward
    policy.backbone.forward = lambda groups, cache=None: passes.append(cache) or run(groups, cache)
    policy.act(invent_observation(ARM, 1), None, rng())
    assert passes == [None]
    assert paper("openvla_oft").chunk == 8 and paper("openvla_oft").places == "dims"


def test_robomamba_trains_a_thousandth_of_itself():
    with torch.device("meta"):
        policy = make(PolicySpec(name="robomamba", size="paper", contract=ARM))
    learning = sum(p.numel() for p in policy.parameters() if p.requires_grad)
    assert 0.0005 < learning / parameter_count(policy) < 0.003


def test_bitvla_takes_a_sixteenth_of_the_memory_of_its_layers():
    policy = tiny("bitvla")
    layers = [module for module in policy.modules() if isinstance(module, BitLinear)]
    full = sum(4 * layer.weight.numel() for layer in layers)
    packed = sum(len(packed_bits(layer.weight.detach())) for layer in layers)
    assert len(layers) >= 4 * 7 and packed * 16 <= full + 64
