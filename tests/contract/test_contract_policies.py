"""One battery for everything in embodia.policies: a new file is tested the day it appears, without being listed.

Two facts a policy must add: its golden numbers (python tests/contract/write_golden.py NAME) and its published number of
parameters (tests/contract/published/NAME.json).
"""

import json
import socket
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from embodia.core.config import to_json
from embodia.core.errors import ConfigError, EmbodiaError, UnknownNameError
from embodia.core.invent import invent_batch, invent_observation
from embodia.core.protocols import DensityDecoder, Policy
from embodia.nn.bitlinear import BitLinear
from embodia.nn.packed import pack
from embodia.parts.acting import Carry
from embodia.parts.compose import Composition, parameter_count
from embodia.policies import FOLDER, SIZES, PolicySpec, complete, make, read_spec

sys.path.insert(0, str(Path(__file__).parent))
from bodies import gripper_arm, published_body, statistics

GOLDEN = Path(__file__).parent.parent / "golden"
NAMES = FOLDER.names()
ARM = gripper_arm()

PUBLISHED = Path(__file__).parent / "published"


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def tiny(name: str, seed: int = 0, contract=ARM) -> Composition:
    return make(PolicySpec(name=name, size="tiny", contract=contract), statistics(contract), seed=seed).eval()


def batch_for(policy: Composition, size: int = 3, seed: int = 0):
    invented = invent_batch(
        policy.contract,
        size,
        history=policy.history,
        seed=seed,
        ahead=len(policy.ahead),
        later=len(policy.later),
    )
    return invented.map(torch.from_numpy)


def rng(seed: int = 7) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_it_is_a_policy_with_a_chunk(name):
    policy = tiny(name)
    assert isinstance(policy, Policy)
    assert policy.contract.action.chunk == complete(PolicySpec(name=name, size="tiny", contract=ARM)).config.chunk


def test_losses_are_finite_and_one_a_sample(name):
    policy = tiny(name)
    terms = policy.loss_terms(batch_for(policy), rng())
    assert terms
    for term in terms.values():
        assert term.shape == (3,)
        assert torch.isfinite(term).all()


def test_every_trainable_parameter_learns(name):
    policy = tiny(name).train()
    with torch.no_grad():  # gates that start at zero would hide what lies behind them
        for parameter in policy.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=rng()))
    loss, _ = policy.loss(batch_for(policy), rng())
    loss.backward()
    silent = []
    for label, parameter in policy.named_parameters():
        if not parameter.requires_grad:
            continue
        gradient = parameter.grad
        if gradient is None or not torch.isfinite(gradient).all() or (gradient.ndim > 1 and not gradient.any()):
            silent.append(label)
    assert not silent


def test_seed_decides_weights_losses_and_actions(name):
    first, second, other = tiny(name), tiny(name), tiny(name, seed=1)
    same = [torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True)]
    assert all(same)
    assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))
    batch = batch_for(first)
    for key, term in first.loss_terms(batch, rng()).items():
        assert torch.equal(term, second.loss_terms(batch, rng())[key])
    seen = invent_observation(ARM, 2, history=first.history)
    assert np.array_equal(first.act(seen, None, rng())[0].actions, second.act(seen, None, rng())[0].actions)


def test_saved_and_loaded_acts_alike(name, tmp_path):
    policy, other = tiny(name), make(PolicySpec(name=name, size="tiny", contract=ARM), seed=5).eval()
    save_file({k: v.contiguous() for k, v in policy.state_dict().items()}, tmp_path / "model.safetensors")
    other.load_state_dict(load_file(tmp_path / "model.safetensors"))
    seen = invent_observation(ARM, 2, history=policy.history)
    assert np.array_equal(policy.act(seen, None, rng())[0].actions, other.act(seen, None, rng())[0].actions)


def test_packed_for_acting_it_acts_alike(name):
    policy, packed = tiny(name), pack(tiny(name))
    observation = batch_for(policy, size=2).observation
    expected, found = policy.act(observation, None, rng())[0].actions, packed.act(observation, None, rng())[0].actions
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_its_spec_survives_json(name):
    spec = complete(PolicySpec(name=name, size="small", contract=ARM))
    assert read_spec(json.loads(json.dumps(to_json(spec)))) == spec


def test_actions_are_physical_and_inside_the_contract(name):
    policy = tiny(name)
    chunk, carry = policy.act(invent_observation(ARM, 3, history=policy.history), None, rng())
    assert carry is None or isinstance(carry, Carry)
    assert chunk.actions.shape == (3, policy.contract.action.chunk, 4)
    assert chunk.actions.dtype == np.float32 and chunk.valid.all()
    assert np.abs(chunk.actions).max() <= 1.0
    assert np.abs(chunk.actions).max() > 0.0


def test_first_of_many_equals_alone(name):
    policy = tiny(name)
    seen = invent_observation(ARM, 3, history=policy.history)
    together = policy.act(seen, None, rng())[0].actions[0]
    alone_seen = replace(seen.map(lambda array: array[:1]), instruction=seen.instruction[:1])
    alone = policy.act(alone_seen, None, rng())[0].actions[0]
    rounds = any(isinstance(module, BitLinear) for module in policy.modules())  # one level more or less is no error
    assert np.allclose(together, alone, atol=0.05 if rounds else 1e-5)
    batch = batch_for(policy)
    one = replace(
        batch.map(lambda array: array[:1]),
        observation=replace(
            batch.observation.map(lambda array: array[:1]), instruction=batch.observation.instruction[:1]
        ),
        answer=batch.answer[:1],
    )
    for key, term in policy.loss_terms(one, rng()).items():
        assert torch.isfinite(term).all()
        assert term.shape == (1,), key


def test_padding_never_changes_the_loss(name):
    policy = tiny(name)
    batch = batch_for(policy)
    assert not batch.chunk.valid.all()
    garbage = torch.where(batch.chunk.valid[..., None], batch.chunk.actions, torch.full((), 1e6))
    changed = replace(batch, chunk=replace(batch.chunk, actions=garbage))
    before, after = policy.loss_terms(batch, rng()), policy.loss_terms(changed, rng())
    for key, term in before.items():
        assert torch.equal(term, after[key]), key


def test_it_sees_and_hears(name):
    policy = tiny(name)
    seen = invent_observation(ARM, 1, history=policy.history)
    base = policy.act(seen, None, rng())[0].actions
    other_words = replace(seen, instruction=("close the window",))
    dark = replace(
        seen,
        images={key: np.zeros_like(image) for key, image in seen.images.items()},
        depth={key: np.zeros_like(image) for key, image in seen.depth.items()},
        points=np.zeros_like(seen.points),
    )
    moved = replace(seen, state=seen.state + 1)
    for changed in (other_words, dark, moved):
        differs = not np.allclose(base, policy.act(changed, None, rng())[0].actions, atol=1e-7)
        assert differs or finds_less_probable(policy, seen, changed)


def finds_less_probable(policy: Composition, seen, changed) -> bool:
    """Actions made of words are the same until another word is the most probable; the probabilities tell before."""
    if not isinstance(policy.decoder, DensityDecoder):
        return False
    chunk = batch_for(policy, 1).chunk
    with torch.no_grad():
        first, second = (policy.log_prob(one.map(torch.from_numpy), chunk) for one in (seen, changed))
    return not torch.equal(first, second)  # the same computation on the same numbers is equal to the last bit


def test_samples_differ_and_density_is_finite(name):
    policy = tiny(name)
    seen = batch_for(policy, 2).observation
    with torch.no_grad():
        draws = policy.sample(seen, rng(), n=3)
        assert draws.shape == (2, 3, policy.contract.action.chunk, 4)
        assert not torch.allclose(draws[:, 0], draws[:, 1])
        chunk = batch_for(policy, 2).chunk
        if isinstance(policy.decoder, DensityDecoder):
            assert torch.isfinite(policy.log_prob(seen, chunk)).all()
        else:
            with pytest.raises(ConfigError, match="log_prob"):
                policy.log_prob(seen, chunk)


def test_a_committed_prefix_is_kept(name):
    policy = tiny(name)
    seen = batch_for(policy, 2).observation
    prefix = torch.rand(2, 2, 4, generator=rng()) - 0.5
    with torch.no_grad():
        chunks = policy.sample(seen, rng(), n=2, prefix=prefix)
    assert torch.allclose(chunks[:, :, :2], prefix[:, None].expand(-1, 2, -1, -1), atol=1e-5)


def test_golden_numbers(name):
    from golden_numbers import measure

    stored = json.loads((GOLDEN / f"{name}.json").read_text())
    found = measure(name)
    assert found["parameters"] == stored["parameters"]
    for key in ("loss", "sample"):
        assert np.allclose(found[key], stored[key], rtol=2e-3, atol=2e-4), key


def test_built_without_a_network(name, monkeypatch):
    def refuse(*arguments, **keywords):
        raise OSError("the network is cut off")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for size in SIZES:
        with torch.device("meta"):
            assert parameter_count(make(PolicySpec(name=name, size=size, contract=ARM))) > 0
    tiny(name)


def test_published_parameter_count(name):
    stated = json.loads((PUBLISHED / f"{name}.json").read_text())
    assert stated["source"], "say where the count is stated, or why it cannot be known"
    if stated["parameters"] is None:
        pytest.skip(stated["source"])
    body, count, source = published_body(stated), stated["parameters"], stated["source"]
    config = replace(complete(PolicySpec(name=name, size="paper", contract=body)).config, **stated["changes"])
    with torch.device("meta"):
        policy = make(PolicySpec(name=name, size="paper", contract=body, config=config))
    assert abs(parameter_count(policy) / count - 1) <= 0.02, f"{parameter_count(policy)} against {count}, {source}"


def test_tiny_is_tiny(name):
    assert 5e5 < parameter_count(tiny(name)) < 5e6


def test_wrong_names_are_answered():
    with pytest.raises(UnknownNameError, match="act"):
        make(PolicySpec(name="atc", size="tiny", contract=ARM))
    with pytest.raises(UnknownNameError, match="tiny"):
        make(PolicySpec(name="act", size="tinny", contract=ARM))
    with pytest.raises(EmbodiaError):
        read_spec({"name": "os.path", "size": "tiny", "contract": to_json(ARM)})


def test_another_policys_configuration_is_refused():
    wrong = complete(PolicySpec(name="diffusion_policy", size="tiny", contract=ARM)).config
    with pytest.raises(ConfigError, match="own Config"):
        make(PolicySpec(name="act", size="tiny", contract=ARM, config=wrong))
