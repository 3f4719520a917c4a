"""Weight names of pi0 in public checkpoints, and back: the only place that knows them.

A layout is a table of beginnings. The one thing to watch: every tensor must be accounted for; a name that no rule knows
is an error, never skipped, except the few that `unused` lists with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from embodia.core.errors import CheckpointError

_INNER = (
    ("self_attn.q_proj.", "attention.query."),
    ("self_attn.k_proj.", "attention.key."),
    ("self_attn.v_proj.", "attention.value."),
    ("self_attn.o_proj.", "attention.out."),
    ("mlp.gate_proj.", "mlp.gate."),
    ("mlp.up_proj.", "mlp.up."),
    ("mlp.down_proj.", "mlp.down."),
    ("input_layernorm.", "attention_norm."),
    ("post_attention_layernorm.", "mlp_norm."),
)
_OURS = {
    "tower": "encoders.image.trunks.0.tower.",
    "projector": "encoders.image.project.",
    "words": "encoders.language.embed.",
    "prefix": "backbone.transformer.",
    "expert": "decoder.velocity.transformer.",
    "state": "encoders.state.project.",
    "action_in": "decoder.velocity.action_in.",
    "time_in": "decoder.velocity.time_in.",
    "time_out": "decoder.velocity.time_out.",
    "action_out": "decoder.velocity.action_out.",
}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Beginnings of names in a public checkpoint by part.

    unused   beginnings of tensors that no computation reads
    tied     a tensor that holds the word embeddings in files that store shared tensors once
    """

    beginnings: Mapping[str, str]
    unused: tuple[str, ...]
    tied: str = ""


TRANSFORMERS = Layout(
    beginnings={
        "tower": "model.vlm.vision_tower.",
        "projector": "model.vlm.multi_modal_projector.linear.",
        "words": "model.vlm.language_model.embed_tokens.",
        "prefix": "model.vlm.language_model.",
        "expert": "model.dit.",
        "state": "embed_action_time.state_proj.",
        "action_in": "embed_action_time.action_in_proj.",
        "time_in": "embed_action_time.action_time_mlp_in.",
        "time_out": "embed_action_time.action_time_mlp_out.",
        "action_out": "action_out_proj.",
    },
    unused=("model.dit.embed_tokens.", "embed_action_time.sinusoid_embeds."),
)
"""transformers' PI0ForConditionalGeneration; its expert keeps word embeddings that nothing reads."""

LEROBOT = Layout(
    beginnings={
        "tower": "paligemma_with_expert.paligemma.model.vision_tower.",
        "projector": "paligemma_with_expert.paligemma.model.multi_modal_projector.linear.",
        "words": "paligemma_with_expert.paligemma.model.language_model.embed_tokens.",
        "prefix": "paligemma_with_expert.paligemma.model.language_model.",
        "expert": "paligemma_with_expert.gemma_expert.model.",
        "state": "state_proj.",
        "action_in": "action_in_proj.",
        "time_in": "action_time_mlp_in.",
        "time_out": "action_time_mlp_out.",
        "action_out": "action_out_proj.",
    },
    unused=(
        "paligemma_with_expert.paligemma.lm_head.",
        "paligemma_with_expert.gemma_expert.lm_head.",
        "paligemma_with_expert.gemma_expert.model.embed_tokens.",
    ),
    tied="paligemma_with_expert.paligemma.lm_head.weight",
)
"""LeRobot's PI0Policy, the layout of its files on the hub too; both of its language heads stay silent."""


def read(state: Mapping[str, Tensor], layout: Layout = TRANSFORMERS) -> dict[str, Tensor]:
    """A public state dictionary under our names. Raises `CheckpointError` naming a tensor that no rule knows."""
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        plain = name.replace("vision_tower.vision_model.", "vision_tower.")
        if layout is LEROBOT:
            plain = plain.removeprefix("model.")
        if plain == layout.tied:
            found.setdefault(f"{_OURS['words']}weight", tensor)
        elif not plain.startswith(layout.unused):
            found[_translate(plain, layout.beginnings, _OURS, _INNER)] = tensor
    return found


def write(state: Mapping[str, Tensor], layout: Layout = TRANSFORMERS) -> dict[str, Tensor]:
    """Our weights under the public names; units and anything else that is not a weight of the network stay behind."""
    inner = tuple((ours, theirs) for theirs, ours in _INNER)
    kept = {name: tensor for name, tensor in state.items() if name.startswith(tuple(_OURS.values()))}
    return {_translate(name, _OURS, layout.beginnings, inner): tensor for name, tensor in kept.items()}


def _translate(
    name: str, source: Mapping[str, str], target: Mapping[str, str], inner: tuple[tuple[str, str], ...]
) -> str:
    """The longest beginning decides the part; inside the two transformers the layer's names are translated too."""
    fitting = [part for part, beginning in source.items() if name.startswith(beginning)]
    if not fitting:
        raise CheckpointError("a tensor that this layout does not know", leaf=name)
    part = max(fitting, key=lambda candidate: len(source[candidate]))
    rest = name.removeprefix(source[part])
    if part in ("prefix", "expert"):
        for old, new in inner:
            rest = rest.replace(f".{old}", f".{new}")
    return target[part] + rest
