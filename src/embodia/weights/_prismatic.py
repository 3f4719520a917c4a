"""Prismatic models (OpenVLA, OpenVLA-OFT, CogACT): names, sizes and units that their checkpoints share.

Towers are timm's: one matrix for query, key and value, and a class token without a position. Layers behind the one that
is read are in the files and nobody uses them. The one thing to watch: the towers use the exact GELU of timm 0.9, and
the language model the epsilon of the file, which for Hugging Face's files is 1e-6, not Llama 2's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from embodia.builders.families import prismatic_llama2_7b
from embodia.builders.vlm import VlmConfig
from embodia.core.errors import CheckpointError, ConfigError, ContractError
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.io.jsonio import read_json
from embodia.parts.backbones.hub import HubConfig
from embodia.parts.encoders.towers import DualConfig, TowerConfig
from embodia.weights._folders import Fields, count, shape_of
from embodia.weights._names import Names

STATISTICS, PIECES = "dataset_statistics.json", "tokenizer.json"
DINO, SIGLIP = "vision_backbone.featurizer.", "vision_backbone.fused_featurizer."
_OURS = "encoders.image.trunks.0.members."
_BLOCK = ("norm1", "norm2", "mlp.fc1", "mlp.fc2")
_DINO = (
    ("cls_token", "embeddings.cls_token"),
    ("reg_token", "embeddings.register_tokens"),
    ("pos_embed", "embeddings.position_embeddings"),
    ("patch_embed.proj.{leaf}", "embeddings.patch_embeddings.projection.{leaf}"),
    ("blocks.{i}.attn.{part}.{leaf}", "encoder.layer.{i}.attention.{part}_proj.{leaf}"),
    ("blocks.{i}.ls1.scale_factor", "encoder.layer.{i}.layer_scale1.lambda1"),
    ("blocks.{i}.ls2.scale_factor", "encoder.layer.{i}.layer_scale2.lambda1"),
    *((f"blocks.{{i}}.{part}.{{leaf}}", f"encoder.layer.{{i}}.{part}.{{leaf}}") for part in _BLOCK),
)
_SIGLIP = (
    ("pos_embed", "embeddings.position_embedding.weight"),
    ("patch_embed.proj.{leaf}", "embeddings.patch_embedding.{leaf}"),
    ("blocks.{i}.attn.o.{leaf}", "encoder.layers.{i}.self_attn.out_proj.{leaf}"),
    ("blocks.{i}.attn.{part}.{leaf}", "encoder.layers.{i}.self_attn.{part}_proj.{leaf}"),
    ("blocks.{i}.norm1.{leaf}", "encoder.layers.{i}.layer_norm1.{leaf}"),
    ("blocks.{i}.norm2.{leaf}", "encoder.layers.{i}.layer_norm2.{leaf}"),
    ("blocks.{i}.mlp.{part}.{leaf}", "encoder.layers.{i}.mlp.{part}.{leaf}"),
)
_LLAMA, _ENGINE = "language_model.model.", "backbone.engine.model."
_REST = (
    *((f"projector.fc{1 + n}.{{leaf}}", f"encoders.image.project.{2 * n}.{{leaf}}") for n in range(3)),
    (f"{_LLAMA}embed_tokens.weight", "backbone.vocabulary.table.weight"),
    ("language_model.lm_head.weight", "backbone.vocabulary.head.weight"),
    (f"{_LLAMA}norm.weight", f"{_ENGINE}norm.weight"),
    (f"{_LLAMA}layers.{{i}}.{{part}}.weight", f"{_ENGINE}layers.{{i}}.{{part}}.weight"),
    (f"{_LLAMA}layers.{{i}}.{{part}}.{{leaf}}.weight", f"{_ENGINE}layers.{{i}}.{{part}}.{{leaf}}.weight"),
)
HEADS = 16
"""Of both towers in every published size; the files do not say it."""


def vlm_of(
    tensors: Mapping[str, Tensor],
    fields: Fields,
    folder: Path,
    pixels: Sequence[int],
    epsilon: float = 1e-6,
    *,
    film: bool = False,
) -> VlmConfig:
    """The vision-language model of a file's tensors; heads and constants of the language model are in `fields`.

    `pixels` are the sizes of the picture for both towers, `epsilon` holds where the file says none; with `film` every
    layer of the towers stands in one that modulates it. Raises `CheckpointError` for what cannot be built,
    `MissingFileError` naming a tensor that sizes are read from.
    """
    fields.require("text_config.model_type", "llama", default="llama")
    fields.require("text_config.hidden_act", "silu", default="silu")
    base = prismatic_llama2_7b()
    rows, width = shape_of(tensors, f"{_LLAMA}embed_tokens.weight", folder)
    hidden, _ = shape_of(tensors, f"{_LLAMA}layers.0.mlp.gate_proj.weight", folder)
    heads = fields.get("text_config.num_attention_heads", 32)
    model = HubConfig(
        family="llama",
        width=width,
        depth=count(tensors, f"{_LLAMA}layers."),
        heads=heads,
        kv_heads=fields.get("text_config.num_key_value_heads", heads),
        mlp_width=hidden,
        theta=fields.get("text_config.rope_theta", 10000.0),
        epsilon=fields.get("text_config.rms_norm_eps", epsilon),
    )
    pieces = folder / PIECES
    text = replace(base.text, vocabulary=rows, file=str(pieces) if pieces.is_file() else "")
    families = zip(("dinov2", "siglip"), pixels, strict=True)
    members = tuple(_tower(tensors, family, size, folder, "block." if film else "") for family, size in families)
    return replace(base, vision=DualConfig(members=members), text=text, model=model, film=film)


def ours(tensors: Mapping[str, Tensor], vlm: VlmConfig) -> dict[str, Tensor]:
    """Their tensors under our names, without head and units. Raises `CheckpointError` on unknown names."""
    parted: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if ".attn.qkv." in name:
            for part, piece in zip("qkv", tensor.chunk(3), strict=True):
                parted[name.replace(".qkv.", f".{part}.")] = piece
        else:
            parted[name.replace(".attn.proj.", ".attn.o.") if ".blocks." in name else name] = tensor
    found = _names(vlm).ours(parted)
    places = f"{_OURS}0.tower.embeddings.position_embeddings"
    if places in found:
        found[places] = torch.cat([torch.zeros_like(found[places][:, :1]), found[places]], dim=1)
        found[f"{_OURS}0.tower.embeddings.mask_token"] = torch.zeros_like(found[places][0, :1])
    flat = f"{_OURS}1.tower.embeddings.position_embedding.weight"
    if flat in found:
        found[flat] = found[flat].flatten(0, 1)
    return found


def theirs(tensors: Mapping[str, Tensor], vlm: VlmConfig) -> dict[str, Tensor]:
    """The other way round; layers that nobody reads are written as zeros. Raises `CheckpointError` on unknown names."""
    kept = {name: tensor for name, tensor in tensors.items() if not name.endswith("embeddings.mask_token")}
    embeddings = f"{_OURS}0.tower.embeddings."
    places = kept[f"{embeddings}position_embeddings"]
    kept[f"{embeddings}cls_token"] = kept[f"{embeddings}cls_token"] + places[:, :1]
    kept[f"{embeddings}position_embeddings"] = places[:, 1:]
    flat = f"{_OURS}1.tower.embeddings.position_embedding.weight"
    kept[flat] = kept[flat][None]
    found: dict[str, Tensor] = {}
    named = _names(vlm).theirs(kept)
    for name, tensor in named.items():
        if ".attn.q." in name:
            parts = [named[name.replace(".attn.q.", f".attn.{part}.")] for part in "qkv"]
            found[name.replace(".attn.q.", ".attn.qkv.")] = torch.cat(parts)
        elif ".attn.k." not in name and ".attn.v." not in name:
            found[name.replace(".attn.o.", ".attn.proj.")] = tensor
    return found | _unread(found, vlm)


def statistics(folder: Path, contract: Contract, fields: Fields) -> dict[str, FeatureStatistics]:
    """Units by feature, "state" too where the file has them for a state of the contract's size.

    A file with several data sets is asked for the one that the contract's action names as its statistics key, or that
    is named like its embodiment. Raises `CheckpointError`, and `ContractError` for actions of another size.
    """
    file = folder / STATISTICS
    known: Any = read_json(file) if file.is_file() else fields.get("norm_stats", None)
    file = file if file.is_file() else fields.file
    if not isinstance(known, dict) or not known:
        raise CheckpointError("the checkpoint does not say its units", file=file, leaf="norm_stats")
    wanted = [name for name in (contract.action.statistics_key, contract.embodiment, *known) if name in known]
    if wanted[0] not in (contract.action.statistics_key, contract.embodiment) and len(known) > 1:
        raise CheckpointError(
            f"units of {', '.join(sorted(known))}",
            file=file,
            leaf="norm_stats",
            cure="Name one of them as the contract's embodiment or as its action's statistics_key.",
        )
    entry = known[wanted[0]]
    action = _feature(entry, "action", file)
    if action.dim != contract.action.dim:
        problem = f"the checkpoint acts with {action.dim} numbers, the contract with {contract.action.dim}"
        raise ContractError(problem, file=file, leaf=f"{wanted[0]}.action")
    found = {contract.action.statistics_key: action}
    if "proprio" in entry:
        state = _feature(entry, "proprio", file)
        found |= {"state": state} if state.dim == contract.observation.state_dim else {}
    return found


def statistics_json(contract: Contract, known: Mapping[str, FeatureStatistics]) -> dict[str, Any]:
    """The table of units as Prismatic writes it, of one data set named like the embodiment."""
    kinds = {"action": contract.action.statistics_key, "proprio": "state"}
    entry: dict[str, Any] = {}
    for theirs_name, name in kinds.items():
        if name in known:
            item = known[name]
            figures = {"mean": item.mean, "std": item.std, "min": item.minimum, "max": item.maximum}
            entry[theirs_name] = {key: list(row) for key, row in {**figures, "q01": item.q01, "q99": item.q99}.items()}
            entry["num_transitions"] = item.count
    entry["action"]["mask"] = [True] * len(entry["action"]["mean"])
    return {contract.embodiment: {**entry, "num_trajectories": 1}}


def _feature(entry: Any, name: str, file: Path) -> FeatureStatistics:
    """Dimensions that their mask leaves as they are get the range -1..1, which is the same."""
    item = entry.get(name) if isinstance(entry, dict) else None
    if not isinstance(item, dict) or not {"mean", "std", "min", "max"} <= item.keys():
        raise CheckpointError("mean, std, min and max are not all there", file=file, leaf=name)
    mask: list[bool] = item.get("mask") or [True] * len(item["mean"])

    def row(figure: str, fallback: str, still: float) -> tuple[float, ...]:
        values: list[float] = item[figure] if figure in item else item[fallback]
        return tuple(float(value) if told else still for value, told in zip(values, mask, strict=True))

    return FeatureStatistics(
        count=max(1, int(entry.get("num_transitions", 1))),
        mean=row("mean", "mean", 0.0),
        std=row("std", "std", 1.0),
        minimum=row("min", "min", -1.0),
        maximum=row("max", "max", 1.0),
        q01=row("q01", "min", -1.0),
        q99=row("q99", "max", 1.0),
    )


def _tower(tensors: Mapping[str, Tensor], family: str, pixels: int, folder: Path, inside: str) -> TowerConfig:
    start = DINO if family == "dinov2" else SIGLIP
    width, _, patch, _ = shape_of(tensors, f"{start}patch_embed.proj.weight", folder)
    sizes = TowerConfig(
        width=width,
        depth=count(tensors, f"{start}blocks."),
        heads=HEADS,
        hidden=shape_of(tensors, f"{start}blocks.0.{inside}mlp.fc1.weight", folder)[0],
        patch=patch,
        pixels=pixels,
        drop=1,
        activation="gelu",
    )
    if family == "siglip":
        return sizes
    registers = shape_of(tensors, f"{start}reg_token", folder)[1]
    return replace(sizes, family="dinov2", registers=registers, scaling="imagenet", activation="")


def _members(vlm: VlmConfig) -> tuple[TowerConfig, TowerConfig]:
    if not isinstance(vlm.vision, DualConfig) or [m.family for m in vlm.vision.members] != ["dinov2", "siglip"]:
        raise ConfigError("Prismatic's eyes are DINOv2 and SigLIP side by side", leaf="vision")
    dino, siglip = vlm.vision.members
    return dino, siglip


def _names(vlm: VlmConfig) -> Names:
    dino, siglip = (_filmed(_DINO), _filmed(_SIGLIP)) if vlm.film else (_DINO, _SIGLIP)
    pairs = [(DINO + a, f"{_OURS}0.tower.{b}") for a, b in dino]
    pairs += [(SIGLIP + a, f"{_OURS}1.tower.{b}") for a, b in siglip]
    unread = [r"language_model\.model\.(.*\.)?rotary_emb\.inv_freq"]
    for start, tower in zip((DINO, SIGLIP), _members(vlm), strict=True):
        last = f"blocks.{tower.depth - 1}."
        unread.append(f"{start}(norm|attn_pool|{last[:-1]})\\..*".replace("vision_backbone.", r"vision_backbone\."))
    return Names([*pairs, *_REST], unused=unread)


def _filmed(pairs: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Names of layers that stand inside modulated ones, and of what modulates them."""
    wrapped = [(a.replace(".{i}.", ".{i}.block."), b.replace(".{i}.", ".{i}.block.")) for a, b in pairs]
    layer = next(b for _, b in pairs if ".{i}." in b).partition(".{i}.")[0]
    own = [(f"blocks.{{i}}.{part}.{{leaf}}", f"{layer}.{{i}}.{part}.{{leaf}}") for part in ("scale", "shift")]
    return (*wrapped, *own)


def _unread(found: Mapping[str, Tensor], vlm: VlmConfig) -> dict[str, Tensor]:
    made: dict[str, Tensor] = {}
    for start, tower in zip((DINO, SIGLIP), _members(vlm), strict=True):
        first = {name: tensor for name, tensor in found.items() if name.startswith(f"{start}blocks.0.")}
        made |= {n.replace("blocks.0.", f"blocks.{tower.depth - 1}."): torch.zeros_like(t) for n, t in first.items()}
        width, hidden = tower.width, tower.hidden
        shapes: dict[str, tuple[int, ...]] = {"norm.weight": (width,), "norm.bias": (width,)}
        if tower.family == "siglip":
            shapes |= {"attn_pool.latent": (1, 1, width), "attn_pool.norm.weight": (width,)}
            shapes |= {"attn_pool.norm.bias": (width,)}
            sizes = {"q": (width, width), "kv": (2 * width, width), "proj": (width, width)}
            sizes |= {"mlp.fc1": (hidden, width), "mlp.fc2": (width, hidden)}
            for name, (rows, columns) in sizes.items():
                shapes |= {f"attn_pool.{name}.weight": (rows, columns), f"attn_pool.{name}.bias": (rows,)}
        device = next(iter(first.values())).device
        made |= {f"{start}{name}": torch.zeros(shape, device=device) for name, shape in shapes.items()}
    return made
