"""What openpi's PyTorch checkpoints share: config.json, model.safetensors, units in assets/NAME/norm_stats.json.

The files hold neither a vocabulary nor how the body's actions were made relative: lay PaliGemma's `tokenizer.json`
beside them, and let the contract say what actions are. Pictures are best given at 224 pixels, as openpi pads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from embodia.core.errors import CheckpointError, ConfigError, ContractError
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.io.atomic import replace_folder, write_json
from embodia.io.jsonio import read_json
from embodia.io.tensors import save_tensors, tensor_names
from embodia.nn.transformer import TransformerConfig
from embodia.parts.encoders.siglip import SiglipConfig
from embodia.weights._folders import CONFIG, MODEL, Fields, count, shape_of
from embodia.weights._pi0 import Layout
from embodia.weights._vla import GEMMA, named

PIECES, UNITS = "tokenizer.json", "norm_stats.json"
_DUMMY = TransformerConfig(width=64, depth=4, heads=8, kv_heads=1, head_dim=16, mlp_width=128)
SIZES: Mapping[str, TransformerConfig] = {**GEMMA, "dummy": _DUMMY}
"""Sizes by openpi's name."""
_TOWER = "paligemma_with_expert.paligemma.model.vision_tower.vision_model."
_HEADS = 16
"""Of its tower; the files do not say it."""


def is_of(folder: Path, mark: str) -> bool:
    """Whether `folder` is openpi's and its weights have a tensor of that name."""
    path = folder / CONFIG
    if not path.is_file() or not (folder / MODEL).is_file():
        return False
    found = read_json(path)
    ours = isinstance(found, dict) and "type" not in found and "action_horizon" in found
    return ours and mark in tensor_names(folder / MODEL)


def size(fields: Fields, field: str) -> TransformerConfig:
    """The sizes that a field names. Raises `CheckpointError`."""
    fields.require(field, *SIZES)
    return SIZES[str(fields.get(field))]


def eye(tensors: Mapping[str, Tensor], file: Path) -> SiglipConfig:
    """The tower of a file's tensors. Raises `MissingFileError` naming one that sizes are read from."""
    nested = {name.replace("vision_tower.vision_model.", "vision_tower."): t for name, t in tensors.items()}
    start = _TOWER.replace("vision_tower.vision_model.", "vision_tower.")
    width, _, patch, _ = shape_of(nested, f"{start}embeddings.patch_embedding.weight", file)
    cells, _ = shape_of(nested, f"{start}embeddings.position_embedding.weight", file)
    return SiglipConfig(
        width=width,
        depth=count(nested, f"{start}encoder.layers."),
        heads=_HEADS,
        hidden=shape_of(nested, f"{start}encoder.layers.0.mlp.fc1.weight", file)[0],
        patch=patch,
        pixels=patch * round(cells**0.5),
    )


def statistics(folder: Path, contract: Contract) -> dict[str, FeatureStatistics]:
    """Units of state and action. The folder of assets that is named like the contract's embodiment, or the only one.

    Raises `CheckpointError` where there are none or several, `ContractError` for fewer dimensions than the body has.
    """
    files = sorted(folder.glob(f"assets/**/{UNITS}")) or sorted(folder.glob(UNITS))
    chosen = [file for file in files if file.parent.name == contract.embodiment] or files
    if len(chosen) != 1:
        names = ", ".join(str(file.parent.relative_to(folder)) for file in files)
        cure = f"Name one of them as the contract's embodiment: {names}" if files else None
        raise CheckpointError(f"{len(chosen)} files of units", file=folder / "assets", leaf=UNITS, cure=cure)
    known, sizes = Fields(chosen[0]), (contract.observation.state_dim, contract.action.dim)
    both = zip(("state", "actions"), ("state", contract.action.statistics_key), sizes, strict=True)
    return {ours: _feature(known, theirs, dim) for theirs, ours, dim in both if dim}


def write(
    out: Path,
    *,
    facts: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    layout: Layout,
    sizes: tuple[TransformerConfig, TransformerConfig],
    contract: Contract,
    known: Mapping[str, FeatureStatistics],
) -> None:
    """The folder as openpi has it. Raises `ConfigError` for sizes without a name there."""
    names = [next((name for name, one in SIZES.items() if one == wanted), "") for wanted in sizes]
    if "" in names:
        raise ConfigError(f"openpi's comes in the sizes {sorted(SIZES)}", leaf="prefix")
    kinds = {"state": "state", "actions": contract.action.statistics_key}
    units = {theirs: _figures(known[ours]) for theirs, ours in kinds.items() if ours in known}
    with replace_folder(out) as inside:
        variants = {"paligemma_variant": names[0], "action_expert_variant": names[1], "precision": "float32"}
        write_json(inside / CONFIG, {**facts, **variants})
        write_json(inside / "assets" / contract.embodiment / UNITS, {"norm_stats": units})
        save_tensors(inside / MODEL, named(tensors, layout, sizes[1].width), {"format": "pt"})


def pieces(folder: Path) -> str:
    """The vocabulary that lies beside the weights, "" where none does."""
    file = folder / PIECES
    return str(file) if file.is_file() else ""


def check_eye(vision: object) -> None:
    """Raise `ConfigError` unless the eyes are a SigLIP with openpi's number of heads."""
    if not isinstance(vision, SiglipConfig) or vision.heads != _HEADS:
        raise ConfigError("openpi sees through SigLIP So400m", leaf="vision")


def _feature(known: Fields, name: str, dim: int) -> FeatureStatistics:
    def row(figure: str, otherwise: str) -> tuple[float, ...]:
        values = known.get(f"norm_stats.{name}.{figure}", None) or known.get(f"norm_stats.{name}.{otherwise}")
        if len(values) < dim:
            problem = f"the checkpoint has {len(values)} dimensions, the contract {dim}"
            raise ContractError(problem, file=known.file, leaf=f"norm_stats.{name}.{figure}")
        return tuple(float(value) for value in values[:dim])

    low, high = row("q01", "mean"), row("q99", "mean")
    return replace(
        FeatureStatistics(count=1, mean=low, std=low, minimum=low, maximum=high, q01=low, q99=high),
        mean=row("mean", "mean"),
        std=row("std", "std"),
    )


def _figures(item: FeatureStatistics) -> dict[str, list[float]]:
    return {"mean": list(item.mean), "std": list(item.std), "q01": list(item.q01), "q99": list(item.q99)}
