"""LoRA and DoRA adapters as peft writes them, merged into the weights that they were learned beside.

An adapter is adapter_config.json and adapter_model.safetensors; lay both into the folder of the checkpoint that it was
learned on. The one thing to watch: a low-rank change counts alpha / rank times, or alpha / root of the rank, and DoRA
then gives every row of the sum a length of its own; whatever else peft can do to a layer is refused, never left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from embodia.core.errors import CheckpointError
from embodia.io.jsonio import read_json
from embodia.io.tensors import load_tensors

CONFIG, MODEL = "adapter_config.json", "adapter_model.safetensors"
_WRAPPED = "base_model.model."
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"
_LENGTHS = ".lora_magnitude_vector"
"""What DoRA learns beside a change (Liu et al. 2024): the length of every row of the sum."""
_PLAIN = re.compile(r"[\w.]+")
_REFUSED: Mapping[str, tuple[Any, ...]] = {
    "bias": ("none", None),
    "lora_bias": (False, None),
    "layer_replication": (None,),
    "trainable_token_indices": (None,),
    "alora_invocation_tokens": (None,),
    "use_qalora": (False, None),
    "init_lora_weights": (True, False, None, "gaussian"),
}


def merged(tensors: Mapping[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """The weights with the adapter that lies in `folder`, or as they are without one.

    Raises `CheckpointError` naming a field or tensor that cannot be merged; every tensor of it must have a place.
    """
    if not (folder / CONFIG).is_file():
        return dict(tensors)
    facts = read_json(folder / CONFIG)
    if not isinstance(facts, dict) or facts.get("peft_type") != "LORA":
        raise CheckpointError("is not of a LoRA adapter", file=folder / CONFIG, leaf="peft_type")
    for field, allowed in _REFUSED.items():
        if facts.get(field, allowed[0]) not in allowed:
            raise CheckpointError(f"is {facts[field]!r}, which cannot be merged", file=folder / CONFIG, leaf=field)
    file, found = folder / MODEL, dict(tensors)
    adapter = {n.removeprefix(_WRAPPED): t for n, t in load_tensors(file, framework="torch").items()}
    adapter = {n.replace(f"{_LENGTHS}.weight", _LENGTHS): t for n, t in adapter.items()}
    for name in sorted(adapter):
        if name.endswith((_UP, _LENGTHS)):
            if name.removesuffix(_UP).removesuffix(_LENGTHS) + _DOWN not in adapter:
                raise CheckpointError("its other half is missing", file=file, leaf=name)
        elif name.endswith(_DOWN):
            layer = name.removesuffix(_DOWN)
            change = _change(adapter[name], adapter.get(layer + _UP), name, file)
            change = change * _scale(facts, layer, len(adapter[name]), folder)
            lengths = adapter.get(layer + _LENGTHS)
            if (lengths is None) == bool(facts.get("use_dora")):
                raise CheckpointError("does not fit the tensors of a layer", file=folder / CONFIG, leaf="use_dora")
            found[f"{layer}.weight"] = _added(found.get(f"{layer}.weight"), change, lengths, facts, layer, file)
        else:
            place = name.replace(".modules_to_save.default.", ".")
            if place not in found or found[place].shape != adapter[name].shape:
                raise CheckpointError("has no place among the weights", file=file, leaf=name)
            found[place] = adapter[name].to(found[place])
    return found


def _change(down: Tensor, up: Tensor | None, name: str, file: Path) -> Tensor:
    if up is None:
        raise CheckpointError("its other half is missing", file=file, leaf=name)
    if down.ndim != 2 or up.ndim != 2 or down.shape[0] != up.shape[1]:
        raise CheckpointError(f"{tuple(up.shape)} by {tuple(down.shape)} is no low-rank change", file=file, leaf=name)
    return up.float() @ down.float()


def _added(
    weight: Tensor | None, change: Tensor, lengths: Tensor | None, facts: Mapping[str, Any], layer: str, file: Path
) -> Tensor:
    turned = bool(facts.get("fan_in_fan_out"))
    change = change.T if turned else change
    if weight is None or change.shape != weight.shape:
        shape = "none" if weight is None else tuple(weight.shape)
        problem = f"a change of {tuple(change.shape)} for weights of {shape}"
        raise CheckpointError(problem, file=file, leaf=layer)
    total = weight.float() + change
    if lengths is not None:
        rows = total.T if turned else total
        if lengths.shape != rows.shape[:1]:
            raise CheckpointError(f"{tuple(lengths.shape)} lengths of {len(rows)} rows", file=file, leaf=layer)
        rows = rows * (lengths.float() / rows.norm(dim=1))[:, None]
        total = rows.T if turned else rows
    return total.to(weight.dtype)


def _scale(facts: Mapping[str, Any], layer: str, rank: int, folder: Path) -> float:
    """What a change of `rank` counts; an alpha of single layers is told by the end of their names."""
    alpha, patterns = facts.get("lora_alpha"), facts.get("alpha_pattern") or {}
    if not isinstance(patterns, dict):
        raise CheckpointError("is no table", file=folder / CONFIG, leaf="alpha_pattern")
    for name, value in patterns.items():
        if not _PLAIN.fullmatch(name):
            raise CheckpointError(f"{name!r} is no plain name", file=folder / CONFIG, leaf="alpha_pattern")
        if layer == name or layer.endswith(f".{name}"):
            alpha = value
            break
    if not isinstance(alpha, int | float):
        raise CheckpointError(f"is {alpha!r}", file=folder / CONFIG, leaf="lora_alpha")
    return float(alpha) / (math.sqrt(rank) if facts.get("use_rslora") else rank)
