"""Low-rank updates: the formula, peft's own layer, what stays whole, and the plain layer they become."""

import pytest
import torch
from torch import nn

from embodia.core.errors import ConfigError
from embodia.nn.low_rank import LowRankLinear, adapt, freeze, merge


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(7, 6)
        self.body = nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 6, bias=False), nn.LayerNorm(6))
        self.tied = nn.Linear(6, 7, bias=False)
        self.tied.weight = self.words.weight
        self.again = self.body[0]

    def forward(self, ids):
        x = self.words(ids)
        return self.tied(self.body(x)), self.again(x)


def net():
    torch.manual_seed(0)
    return Net()


def shaken(model):
    torch.manual_seed(1)
    for module in model.modules():
        if isinstance(module, LowRankLinear):
            nn.init.normal_(module.up)
    return model


IDS = torch.arange(7)


def test_training_begins_with_the_layer_as_it_was_and_only_updates_learn():
    model, plain = net(), net()
    assert adapt(model, ["body"], 3, 6.0) == ["body.0", "body.2"]
    assert all(torch.equal(a, b) for a, b in zip(model(IDS), plain(IDS), strict=True))
    learning = {name for name, item in model.named_parameters() if item.requires_grad}
    assert learning == {"words.weight", "body.0.down", "body.0.up", "body.2.down", "body.2.up"}


def test_a_layer_is_its_matrix_and_alpha_over_rank_times_the_product():
    layer = nn.Linear(5, 4)
    changed = shaken(LowRankLinear(layer, 2, 7.0))
    x = torch.randn(3, 5)
    whole = layer.weight + 3.5 * changed.up @ changed.down
    torch.testing.assert_close(changed(x), x @ whole.T + layer.bias)
    torch.testing.assert_close(changed.weight, whole)
    changed(x).sum().backward()
    assert changed.base.grad is None and changed.bias.grad is None
    assert changed.down.grad is not None and changed.up.grad is not None


def test_reading_the_matrix_teaches_what_calling_the_layer_teaches():
    grads = []
    for use in (lambda layer, x: layer(x), lambda layer, x: nn.functional.linear(x, layer.weight, layer.bias)):
        torch.manual_seed(0)
        layer = shaken(LowRankLinear(nn.Linear(5, 4), 2, 7.0))
        use(layer, torch.ones(3, 5)).square().sum().backward()
        grads.append((layer.down.grad, layer.up.grad))
    for first, second in zip(*grads, strict=True):
        torch.testing.assert_close(first, second)


def test_merged_it_is_plain_again_with_the_same_names_and_answers():
    model = shaken(net())
    adapt(model, ["body", "again"], 2, 5.0)
    shaken(model)
    assert model.again is model.body[0]
    before = model(IDS)
    merge(model)
    for found, expected in zip(model(IDS), before, strict=True):
        torch.testing.assert_close(found, expected)
    assert model.state_dict().keys() == net().state_dict().keys()
    assert model.again is model.body[0] and type(model.again) is nn.Linear


def test_a_matrix_that_two_modules_share_stays_whole():
    with pytest.raises(ConfigError, match="'tied'"):
        adapt(net(), ["tied"], 2, 4.0)


def test_a_prefix_that_fits_nothing_is_named():
    with pytest.raises(ConfigError, match="'boby'") as caught:
        adapt(net(), ["body", "boby"], 2, 4.0)
    assert caught.value.leaf == "lora"
    with pytest.raises(ConfigError, match="width 7"):
        adapt(net(), ["body"], 7, 4.0)
    with pytest.raises(ConfigError, match="'boby'"):
        freeze(net(), ["boby"])


def test_equal_to_pefts_layer_in_numbers_and_gradients():
    peft = pytest.importorskip("peft")
    theirs = peft.get_peft_model(
        nn.Sequential(nn.Linear(6, 8)), peft.LoraConfig(r=3, lora_alpha=7, target_modules=["0"], lora_dropout=0.0)
    )
    inner = theirs.base_model.model[0]
    ours = LowRankLinear(nn.Linear(6, 8), 3, 7.0)
    with torch.no_grad():
        ours.base.copy_(inner.base_layer.weight)
        ours.bias.copy_(inner.base_layer.bias)
        inner.lora_B["default"].weight.normal_()
        ours.down.copy_(inner.lora_A["default"].weight)
        ours.up.copy_(inner.lora_B["default"].weight)
    x = torch.randn(5, 6)
    torch.testing.assert_close(ours(x), theirs(x))
    ours(x).square().sum().backward()
    theirs(x).square().sum().backward()
    torch.testing.assert_close(ours.down.grad, inner.lora_A["default"].weight.grad)
    torch.testing.assert_close(ours.up.grad, inner.lora_B["default"].weight.grad)
    torch.testing.assert_close(ours.weight, theirs.merge_and_unload()[0].weight)
