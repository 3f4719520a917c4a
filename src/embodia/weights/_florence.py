"""Florence-2's reading half in public files: sizes under two families of names, tensors likewise.

Today's files name things as transformers' own class does; older ones as the program that the model was published with.
The one thing to watch: its projection was a bare matrix there, the other way round than a layer's weight.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from embodia.builders.families import florence2_large
from embodia.builders.vlm import VlmConfig
from embodia.core.errors import CheckpointError, ConfigError
from embodia.parts.backbones.bart import BartConfig
from embodia.parts.encoders.florence import FlorenceConfig

_STAGES = {
    "depths": "depths",
    "widths": "embed_dim",
    "heads": "num_heads",
    "patches": "patch_size",
    "strides": "patch_stride",
    "paddings": "patch_padding",
}
_READER = {
    "width": "d_model",
    "depth": "encoder_layers",
    "heads": "encoder_attention_heads",
    "mlp_width": "encoder_ffn_dim",
    "positions": "max_position_embeddings",
}
_FIXED = {"mlp_ratio": 4.0, "qkv_bias": True, "activation_function": "gelu", "scale_embedding": False}
_OLD = (
    (r"(vision_tower\.convs\.\d+)\.proj\.", r"\1.conv."),
    (r"\.(conv[12])\.fn\.dw\.", r".\1."),
    (r"\.(?:window|channel)_attn\.norm\.", ".norm1."),
    (r"\.(window|channel)_attn\.fn\.", r".\1_attn."),
    (r"\.ffn\.norm\.", ".norm2."),
    (r"\.ffn\.fn\.net\.", ".ffn."),
    (r"^image_proj_norm\.", "multi_modal_projector.image_proj_norm."),
    (r"^image_pos_embed\.", "multi_modal_projector.image_position_embed."),
    (r"^visual_temporal_embed\.", "multi_modal_projector.visual_temporal_embed."),
    (r"^language_model\.model\.", "language_model."),
)
"""Old names and new ones, below the model; all that fit are applied in turn."""
_MATRIX, _LAYER = "image_projection", "multi_modal_projector.image_projection.weight"
_SILENT = "language_model.final_logits_bias"
_TABLES = ("language_model.shared.weight", "language_model.encoder.embed_tokens.weight")
_PLACES = (
    ("vision_tower.", "encoders.image.tower."),
    ("multi_modal_projector.", "encoders.image.project."),
    ("language_model.encoder.", "backbone.model.engine.model."),
)
_WORDS = "backbone.model.vocabulary.table.weight"


def vlm_of(sizes: Mapping[str, Any], file: Path) -> VlmConfig:
    """The model that `sizes`, the field "florence_config" of `file`, describe. Raises `CheckpointError`."""
    vision, text = _part(sizes, "vision_config", file), _part(sizes, "text_config", file)
    if "dim_embed" in vision:
        vision = _renamed(vision, file)
    for name, value in _FIXED.items():
        found = {**vision, **text}.get(name, value)
        if found != value:
            raise CheckpointError(f"is {found!r}, only {value!r} can be built", file=file, leaf=name)
    if list(vision.get("num_groups", vision["num_heads"])) != list(vision["num_heads"]):
        raise CheckpointError("channels and pixels have other numbers of heads", file=file, leaf="num_groups")
    stages: dict[str, Any] = {ours: tuple(vision[theirs]) for ours, theirs in _STAGES.items() if theirs in vision}
    eye = FlorenceConfig(
        **stages,
        window=vision.get("window_size", 12),
        drop_path=vision.get("drop_path_rate", 0.1),
        grid=vision.get("max_position_embeddings", 50),
        moments=vision.get("max_temporal_embeddings", 100),
    )
    reader = BartConfig(**{ours: text[theirs] for ours, theirs in _READER.items()}, dropout=text.get("dropout", 0.1))
    if vision.get("projection_dim", 1024) != reader.width:
        raise CheckpointError("eyes and words have different widths", file=file, leaf="projection_dim")
    base = florence2_large()
    words = replace(
        base.text,
        vocabulary=text["vocab_size"],
        start=sizes.get("bos_token_id", 0),
        fill=sizes.get("pad_token_id", 1),
    )
    return replace(base, vision=eye, model=reader, text=words)


def sizes_of(vlm: VlmConfig) -> dict[str, Any]:
    """The field "florence_config" in today's names. Raises `ConfigError` for another model."""
    eye, reader = vlm.vision, vlm.model
    if not isinstance(eye, FlorenceConfig) or not isinstance(reader, BartConfig):
        raise ConfigError("only Florence-2 can be written", leaf="vlm")
    stages = {theirs: list(getattr(eye, ours)) for ours, theirs in _STAGES.items()}
    vision = {
        **stages,
        "model_type": "florence_vision",
        "num_groups": list(eye.heads),
        "patch_prenorm": [index > 0 for index in range(len(eye.depths))],
        "window_size": eye.window,
        "drop_path_rate": eye.drop_path,
        "projection_dim": reader.width,
        "max_position_embeddings": eye.grid,
        "max_temporal_embeddings": eye.moments,
    }
    text = {theirs: getattr(reader, ours) for ours, theirs in _READER.items()}
    dropouts = dict.fromkeys(("dropout", "attention_dropout", "activation_dropout"), reader.dropout)
    silent = {
        "decoder_layers": 1,
        "decoder_attention_heads": reader.heads,
        "decoder_ffn_dim": reader.mlp_width,
    }
    ids = {"bos_token_id": vlm.text.start, "pad_token_id": vlm.text.fill, "eos_token_id": vlm.text.stop}
    words = {"model_type": "bart", "vocab_size": vlm.text.vocabulary, "scale_embedding": False, **ids}
    return {
        "model_type": "florence2",
        "vision_config": vision,
        "text_config": {**text, **dropouts, **silent, **words},
        **ids,
    }


def ours(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors below the model's name, old or new, under our names. Raises `CheckpointError` on unknown ones."""
    found: dict[str, Tensor] = {}
    for name, tensor in _todays(tensors).items():
        if name in _TABLES:
            found[_WORDS] = tensor
            continue
        place = next(((theirs, mine) for theirs, mine in _PLACES if name.startswith(theirs)), None)
        if place is None:
            raise CheckpointError("a tensor that this layout does not know", leaf=name)
        found[place[1] + name.removeprefix(place[0])] = tensor
    return found


def theirs(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Our tensors that Florence-2 has, in today's names, and the rest."""
    found: dict[str, Tensor] = {}
    rest = dict(tensors)
    if _WORDS in rest:
        found[_TABLES[0]] = rest.pop(_WORDS)
    for name in tensors:
        for place, mine in _PLACES:
            if name.startswith(mine):
                found[place + name.removeprefix(mine)] = rest.pop(name)
    return found, rest


def _todays(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if _MATRIX not in tensors:
        return dict(tensors)
    found = {_LAYER: tensors[_MATRIX].T}
    for name, tensor in tensors.items():
        if name not in (_MATRIX, _SILENT):
            for pattern, instead in _OLD:
                name = re.sub(pattern, instead, name)
            found[name] = tensor
    return found


def _part(sizes: Mapping[str, Any], name: str, file: Path) -> dict[str, Any]:
    if not isinstance(sizes.get(name), dict):
        raise CheckpointError("field is missing", file=file, leaf=f"florence_config.{name}")
    return dict(sizes[name])


def _renamed(vision: dict[str, Any], file: Path) -> dict[str, Any]:
    """Sizes of the eye as they were first published."""
    place, moment = vision.get("image_pos_embed", {}), vision.get("visual_temporal_embedding", {})
    kinds = (place.get("type", "learned_abs_2d"), moment.get("type", "COSINE"))
    read = list(vision.get("image_feature_source", ["spatial_avg_pool", "temporal_avg_pool"]))
    if kinds != ("learned_abs_2d", "COSINE") or read != ["spatial_avg_pool", "temporal_avg_pool"]:
        raise CheckpointError(f"positions {kinds}, features {read} cannot be built", file=file, leaf="vision_config")
    return {
        **vision,
        "embed_dim": vision["dim_embed"],
        "max_position_embeddings": place.get("max_pos_embeddings", 50),
        "max_temporal_embeddings": moment.get("max_temporal_embeddings", 100),
    }
