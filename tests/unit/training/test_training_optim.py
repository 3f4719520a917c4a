"""Parameter groups, one AdamW step against the published update written out, averages against their recursion."""

import copy

import pytest
import torch
from torch import nn

from embodia.core.errors import CheckpointError, ConfigError
from embodia.training import optim, precision
from embodia.training.config import TrainConfig
from embodia.training.ema import Ema


def network():
    torch.manual_seed(0)
    parts = {
        "words": nn.Embedding(5, 4),
        "trunk": nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4)),
        "head": nn.Linear(4, 2),
    }
    model = nn.ModuleDict(parts)
    model["trunk"][0].bias.requires_grad_(False)
    return model


def decays(optimizer, model):
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {names[id(p)]: (g["weight_decay"], g["factor"]) for g in optimizer.param_groups for p in g["params"]}


def test_decay_falls_on_matrices_only_and_frozen_parameters_are_left_out():
    model = network()
    found = decays(optim.build(model, TrainConfig(steps=1, weight_decay=0.3)), model)
    assert found == {
        "words.weight": (0.0, 1.0),
        "trunk.0.weight": (0.3, 1.0),
        "trunk.1.weight": (0.0, 1.0),
        "trunk.1.bias": (0.0, 1.0),
        "head.weight": (0.3, 1.0),
        "head.bias": (0.0, 1.0),
    }


@pytest.mark.parametrize("how", ["attribute", "prefix"])
def test_pretrained_parts_learn_slowly(how):
    model = network()
    config = TrainConfig(steps=1, slow_factor=0.25, slow=("trunk",) if how == "prefix" else ())
    if how == "attribute":
        model["trunk"].pretrained = True
    optimizer = optim.build(model, config)
    optim.set_rate(optimizer, 0.8)
    assert {name for name, (_, factor) in decays(optimizer, model).items() if factor == 0.25} == {
        "trunk.0.weight",
        "trunk.1.weight",
        "trunk.1.bias",
    }
    assert sorted({group["lr"] for group in optimizer.param_groups}) == [0.2, 0.8]


def test_a_prefix_that_fits_nothing_and_a_policy_that_cannot_learn_are_refused():
    with pytest.raises(ConfigError, match="trnuk"):
        optim.build(network(), TrainConfig(steps=1, slow=("trnuk",)))
    with pytest.raises(ConfigError, match="no parameter"):
        optim.build(network().requires_grad_(False), TrainConfig(steps=1))


def test_one_step_is_the_published_update():
    """Loshchilov and Hutter 2019, algorithm 2, written out in double precision."""
    model = nn.Linear(3, 2)
    config = TrainConfig(steps=1, weight_decay=0.1, betas=(0.9, 0.95), epsilon=1e-8)
    optimizer = optim.build(model, config)
    before = {name: p.detach().double().clone() for name, p in model.named_parameters()}
    model(torch.tensor([[1.0, -2.0, 0.5]])).square().sum().backward()
    gradients = {name: p.grad.double().clone() for name, p in model.named_parameters()}
    optim.set_rate(optimizer, 0.01)
    optimizer.step()
    for name, parameter in model.named_parameters():
        decay = 0.1 if name == "weight" else 0.0
        first, second = 0.1 * gradients[name] / (1 - 0.9), 0.05 * gradients[name] ** 2 / (1 - 0.95)
        expected = before[name] * (1 - 0.01 * decay) - 0.01 * first / (second.sqrt() + 1e-8)
        torch.testing.assert_close(parameter.detach().double(), expected, rtol=1e-6, atol=1e-7)


def stepped():
    model = network()
    optimizer = optim.build(model, TrainConfig(steps=1))
    for _ in range(3):
        x = model["trunk"](torch.rand(2, 3, 5, 5)).mean((2, 3)) + model["words"](torch.tensor([1, 2]))
        model["head"](x).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return model, optimizer


def test_the_state_survives_as_named_tensors():
    model, optimizer = stepped()
    tensors = {name: item.clone() for name, item in optim.state_tensors(model, optimizer)}
    assert "exp_avg/trunk.0.weight" in tensors and "step/head.bias" in tensors
    other = copy.deepcopy(model)
    fresh = optim.build(other, TrainConfig(steps=1))
    optim.load_state(other, fresh, tensors, file="optimizer.safetensors")
    for pair in ((model, optimizer), (other, fresh)):
        pair[0]["head"](torch.ones(1, 4)).sum().backward()
        pair[1].step()
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_missing_or_misshapen_moment_is_named():
    model, optimizer = stepped()
    tensors = dict(optim.state_tensors(model, optimizer))
    missing = {name: item for name, item in tensors.items() if name != "exp_avg_sq/head.weight"}
    with pytest.raises(CheckpointError) as caught:
        optim.load_state(model, optimizer, missing, file="optimizer.safetensors")
    assert caught.value.leaf == "exp_avg_sq/head.weight"
    wrong = {**tensors, "exp_avg/head.weight": torch.zeros(4, 2)}
    with pytest.raises(CheckpointError, match=r"\(4, 2\).*\(2, 4\)"):
        optim.load_state(model, optimizer, wrong, file="optimizer.safetensors")


def test_the_average_follows_its_recursion_with_a_rising_decay():
    model = nn.Linear(2, 1)
    ema = Ema(model, 0.5)
    expected = model.weight.detach().clone()
    for step in range(12):
        with torch.no_grad():
            model.weight.add_(1.0)
        ema.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model.weight.detach()
        torch.testing.assert_close(ema.shadows["weight"], expected)


def test_inside_applied_the_model_is_the_average_and_afterwards_bitwise_itself():
    model = nn.Linear(3, 3)
    ema = Ema(model, 0.9)
    with torch.no_grad():
        model.weight.mul_(1.7)
    own = model.weight.detach().clone()
    with pytest.raises(KeyError), ema.applied():
        assert torch.equal(model.weight, ema.shadows["weight"]) and not torch.equal(model.weight, own)
        raise KeyError
    assert torch.equal(model.weight, own)


def test_without_decay_nothing_is_kept():
    ema = Ema(nn.Linear(2, 2), 0.0)
    ema.update(3)
    with ema.applied():
        assert ema.shadows == {}


def test_precision_follows_the_option_and_auto_asks_the_processor(monkeypatch):
    cpu = torch.device("cpu")
    assert precision.choose(TrainConfig(steps=1, precision="bf16"), cpu) == torch.bfloat16
    assert precision.choose(TrainConfig(steps=1, precision="fp32"), cpu) == torch.float32
    for bf16, amx, expected in (
        (False, False, torch.float32),
        (True, False, torch.bfloat16),
        (False, True, torch.bfloat16),
    ):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda value=bf16: value)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda value=amx: value)
        assert precision.choose(TrainConfig(steps=1), cpu) == expected
    assert not precision.bf16_supported(torch.device("meta"))


def test_autocast_computes_in_bf16_over_fp32_weights():
    layer = nn.Linear(4, 4)
    with precision.autocast(torch.device("cpu"), torch.bfloat16):
        out = layer(torch.ones(1, 4))
    assert out.dtype == torch.bfloat16 and layer.weight.dtype == torch.float32
    with precision.autocast(torch.device("cpu"), torch.float32):
        assert layer(torch.ones(1, 4)).dtype == torch.float32


@pytest.mark.parametrize("limit", [0.5, 1e3, float("inf")])
@pytest.mark.parametrize("missing", [False, True])
def test_clipping_is_that_of_torch(limit, missing):
    def gradients():
        torch.manual_seed(0)
        parameters = [nn.Parameter(torch.zeros(size)) for size in ((3, 4), (5,), (2, 2, 2))]
        for parameter in parameters[missing:]:
            parameter.grad = torch.randn_like(parameter)
        return parameters

    ours, theirs = gradients(), gradients()
    torch.testing.assert_close(optim.clip(ours, limit), nn.utils.clip_grad_norm_(theirs, limit))
    for mine, expected in zip(ours, theirs, strict=True):
        assert (mine.grad is None) == (expected.grad is None)
        if mine.grad is not None:
            torch.testing.assert_close(mine.grad, expected.grad, rtol=0, atol=0)


def test_a_norm_that_is_not_finite_reaches_the_gradients():
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([float("nan"), 1.0])
    assert torch.isnan(optim.clip([parameter], 1.0)) and torch.isnan(parameter.grad).all()


def test_short_gradients_are_not_touched(monkeypatch):
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.ones(2)
    monkeypatch.setattr(nn.utils, "clip_grads_with_norm_", lambda *_: pytest.fail("multiplied by one"))
    assert float(optim.clip([parameter], 2.0)) == pytest.approx(2**0.5)
