"""Adapters of low rank: merged by their formula, refused where they do more than that, by file and leaf."""

import json

import pytest
import torch
from safetensors.torch import save_file

from embodia.core.errors import CheckpointError, EmbodiaError
from embodia.weights._lora import CONFIG, MODEL, merged

FACTS = {"peft_type": "LORA", "r": 2, "lora_alpha": 6, "bias": "none", "use_dora": False, "fan_in_fan_out": False}
START = "base_model.model."


def weights():
    torch.manual_seed(0)
    sizes = {"model.a.q.weight": (5, 4), "model.a.v.weight": (3, 4), "model.head.weight": (2, 3)}
    return {name: torch.randn(size) for name, size in sizes.items()}


def laid(folder, tensors, **changes):
    (folder / CONFIG).write_text(json.dumps({**FACTS, **changes}))
    save_file({f"{START}{name}": tensor.contiguous() for name, tensor in tensors.items()}, folder / MODEL)


def change(layer="model.a.q", rows=5, columns=4, rank=2):
    torch.manual_seed(1)
    down, up = torch.randn(rank, columns), torch.randn(rows, rank)
    return {f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up}, up @ down


def test_without_an_adapter_nothing_changes(tmp_path):
    base = weights()
    found = merged(base, tmp_path)
    assert found == base and found is not base


@pytest.mark.parametrize(
    ("changes", "scale"),
    [
        ({}, 3.0),
        ({"use_rslora": True}, 6 / 2**0.5),
        ({"alpha_pattern": {"a.q": 8}}, 4.0),
        ({"alpha_pattern": {"a.v": 8}}, 3.0),
        ({"alpha_pattern": {"q": 8, "model.a.q": 2}}, 4.0),
    ],
)
def test_a_change_counts_what_its_settings_say(tmp_path, changes, scale):
    base, (adapter, product) = weights(), change()
    laid(tmp_path, adapter, **changes)
    found = merged(base, tmp_path)
    torch.testing.assert_close(found["model.a.q.weight"], base["model.a.q.weight"] + scale * product)
    assert torch.equal(found["model.a.v.weight"], base["model.a.v.weight"])


def test_turned_layers_and_half_precision(tmp_path):
    base, (adapter, product) = weights(), change(rows=4, columns=5)
    laid(tmp_path, adapter, fan_in_fan_out=True)
    found = merged({name: tensor.bfloat16() for name, tensor in base.items()}, tmp_path)["model.a.q.weight"]
    expected = base["model.a.q.weight"].bfloat16().float() + 3 * product.T
    assert found.dtype == torch.bfloat16 and torch.equal(found, expected.bfloat16())


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("ending", ["", ".weight"])
def test_rows_get_the_lengths_that_were_learned(tmp_path, turned, ending):
    base, (adapter, product) = weights(), change(*(("model.a.q", 4, 5) if turned else ()))
    lengths = torch.arange(1.0, 1 + len(product))
    adapter[f"model.a.q.lora_magnitude_vector{ending}"] = lengths
    laid(tmp_path, adapter, use_dora=True, fan_in_fan_out=turned)
    found = merged(base, tmp_path)["model.a.q.weight"]
    rows, plain = (found.T, base["model.a.q.weight"].T) if turned else (found, base["model.a.q.weight"])
    torch.testing.assert_close(rows.norm(dim=1), lengths)
    torch.testing.assert_close(rows / lengths[:, None], torch.nn.functional.normalize(plain + 3 * product, dim=1))


@pytest.mark.parametrize(
    ("lengths", "used", "leaf"),
    [(torch.ones(3), True, "model.a.q"), (torch.ones(5), False, "use_dora"), (None, True, "use_dora")],
)
def test_lengths_that_do_not_fit_are_refused(tmp_path, lengths, used, leaf):
    adapter, _ = change()
    laid(
        tmp_path, adapter if lengths is None else {**adapter, "model.a.q.lora_magnitude_vector": lengths}, use_dora=used
    )
    with pytest.raises(CheckpointError) as caught:
        merged(weights(), tmp_path)
    assert caught.value.leaf == leaf


def test_lengths_without_a_change_are_refused(tmp_path):
    laid(tmp_path, {"model.a.q.lora_magnitude_vector": torch.ones(5)}, use_dora=True)
    with pytest.raises(CheckpointError) as caught:
        merged(weights(), tmp_path)
    assert caught.value.leaf == "model.a.q.lora_magnitude_vector"


def test_layers_that_were_saved_whole_replace(tmp_path):
    laid(tmp_path, {"model.head.weight": torch.ones(2, 3)})
    assert torch.equal(merged(weights(), tmp_path)["model.head.weight"], torch.ones(2, 3))


@pytest.mark.parametrize(
    ("changes", "leaf"),
    [
        ({"peft_type": "IA3"}, "peft_type"),
        ({"use_dora": True}, "use_dora"),  # the tensors have no lengths
        ({"bias": "all"}, "bias"),
        ({"lora_alpha": "six"}, "lora_alpha"),
        ({"alpha_pattern": {"(a+)+q": 8}}, "alpha_pattern"),
        ({"alpha_pattern": [8]}, "alpha_pattern"),
        ({"trainable_token_indices": [1]}, "trainable_token_indices"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights"),
    ],
)
def test_settings_that_cannot_be_merged_are_named(tmp_path, changes, leaf):
    laid(tmp_path, change()[0], **changes)
    with pytest.raises(CheckpointError) as caught:
        merged(weights(), tmp_path)
    assert caught.value.leaf == leaf and str(caught.value.file).endswith(CONFIG)


@pytest.mark.parametrize(
    ("adapter", "leaf"),
    [
        (change("model.b.q")[0], "model.b.q"),
        (change(rows=6)[0], "model.a.q"),
        ({"model.a.q.lora_A.weight": torch.zeros(2, 4)}, "model.a.q.lora_A.weight"),
        ({"model.a.q.lora_B.weight": torch.zeros(5, 2)}, "model.a.q.lora_B.weight"),
        ({**change()[0], "model.a.q.lora_B.weight": torch.zeros(5, 3)}, "model.a.q.lora_A.weight"),
        ({"model.head.weight": torch.zeros(9, 3)}, "model.head.weight"),
        ({"model.head.strange": torch.zeros(3)}, "model.head.strange"),
    ],
)  # fmt: skip
def test_every_tensor_has_a_place(tmp_path, adapter, leaf):
    laid(tmp_path, adapter)
    with pytest.raises(CheckpointError) as caught:
        merged(weights(), tmp_path)
    assert caught.value.leaf == leaf and str(caught.value.file).endswith(MODEL)


def test_an_adapter_without_its_file_is_named(tmp_path):
    (tmp_path / CONFIG).write_text(json.dumps(FACTS))
    with pytest.raises(EmbodiaError, match="adapter_model"):
        merged(weights(), tmp_path)
