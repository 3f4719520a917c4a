"""Weight names of the pi family and SmolVLA in public checkpoints, and back: the only place that knows them.

A layout is a table of beginnings by part, for theirs and for ours. The one thing to watch: every tensor must be
accounted for; a name that no rule knows is an error, never skipped, except the few that `unused` lists with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

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
    ("dense.", "modulation."),
)
_PI0 = {
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
_READER = {
    "tower": "encoders.image.trunks.0.tower.",
    "projector": "encoders.image.project.",
    "words": "backbone.vocabulary.table.",
    "head": "backbone.vocabulary.head.",
    "prefix": "backbone.engine.",
}
_EXPERT = {part: name for part, name in _PI0.items() if name.startswith("decoder.")}
_PALIGEMMA = "paligemma_with_expert.paligemma."
_NESTED = "vision_model."
"""Stands behind "vision_tower." in public files and in transformers 5.5; 5.23 leaves it out."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Beginnings of names in a public checkpoint by part, and ours.

    unused   beginnings of tensors that no computation reads
    tied     a tensor that holds the word embeddings in files that store shared tensors once
    leading  what all names in a file may begin with
    """

    beginnings: Mapping[str, str]
    unused: tuple[str, ...] = ()
    tied: str = ""
    ours: Mapping[str, str] = field(default_factory=lambda: _PI0)
    leading: str = ""


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
        "tower": f"{_PALIGEMMA}model.vision_tower.{_NESTED}",
        "projector": f"{_PALIGEMMA}model.multi_modal_projector.linear.",
        "words": f"{_PALIGEMMA}model.language_model.embed_tokens.",
        "prefix": f"{_PALIGEMMA}model.language_model.",
        "expert": "paligemma_with_expert.gemma_expert.model.",
        "state": "state_proj.",
        "action_in": "action_in_proj.",
        "time_in": "action_time_mlp_in.",
        "time_out": "action_time_mlp_out.",
        "action_out": "action_out_proj.",
    },
    unused=(
        f"{_PALIGEMMA}lm_head.",
        "paligemma_with_expert.gemma_expert.lm_head.",
        "paligemma_with_expert.gemma_expert.model.embed_tokens.",
    ),
    tied=f"{_PALIGEMMA}lm_head.weight",
    leading="model.",
)
"""LeRobot's PI0Policy, the layout of its files on the hub too; both of its language heads stay silent."""

LEROBOT_PI05 = Layout(
    beginnings={
        **{part: name for part, name in LEROBOT.beginnings.items() if part != "state"},
        "time_in": "time_mlp_in.",
        "time_out": "time_mlp_out.",
    },
    unused=LEROBOT.unused,
    tied=LEROBOT.tied,
    ours={**{part: name for part, name in _READER.items() if part != "head"}, **_EXPERT},
    leading="model.",
)
"""LeRobot's PI05Policy: time steers the expert's norms, the state is in the prompt."""

LEROBOT_PI0_FAST = Layout(
    beginnings={part: LEROBOT.beginnings[part] for part in ("tower", "projector", "words", "prefix")},
    tied=LEROBOT.tied,
    ours={part: name for part, name in _READER.items() if part != "head"},
    leading="model.",
)
"""LeRobot's PI0FastPolicy: no expert; its language head, tied to the words, says the actions."""

OPENPI, OPENPI_PI05 = replace(LEROBOT, leading=""), replace(LEROBOT_PI05, leading="")
"""openpi's PI0Pytorch: the same names without the word that all of LeRobot's begin with."""

LEROBOT_SMOLVLA = Layout(
    beginnings={
        "tower": "vlm_with_expert.vlm.model.vision_model.",
        "projector": "vlm_with_expert.vlm.model.connector.modality_projection.proj.",
        "words": "vlm_with_expert.vlm.model.text_model.embed_tokens.",
        "head": "vlm_with_expert.vlm.lm_head.",
        "prefix": "vlm_with_expert.vlm.model.text_model.",
        "expert": "vlm_with_expert.lm_expert.",
        "state": "state_proj.",
        "action_in": "action_in_proj.",
        "time_in": "action_time_mlp_in.",
        "time_out": "action_time_mlp_out.",
        "action_out": "action_out_proj.",
    },
    ours={**_READER, **_EXPERT, "state": "encoders.state.project."},
    leading="model.",
)
"""LeRobot's SmolVLAPolicy; its projector orders pixels otherwise, see `lerobot_smolvla`."""


def read(state: Mapping[str, Tensor], layout: Layout = TRANSFORMERS) -> dict[str, Tensor]:
    """A public state dictionary under our names. Raises `CheckpointError` naming a tensor that no rule knows."""
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        plain = _towered(name, layout).removeprefix(layout.leading)
        if plain == layout.tied:
            found.setdefault(f"{layout.ours['words']}weight", tensor)
        elif not plain.startswith(layout.unused):
            found[_translate(plain, layout.beginnings, layout.ours, _INNER)] = tensor
    return found


def write(state: Mapping[str, Tensor], layout: Layout = TRANSFORMERS) -> dict[str, Tensor]:
    """Our weights under the public names, without what all begin with; units stay behind.

    Raises `CheckpointError` naming a tensor that has no place there.
    """
    inner = tuple((ours, theirs) for theirs, ours in _INNER)
    kept = {name: tensor for name, tensor in state.items() if "_units." not in name}
    return {_translate(name, layout.ours, layout.beginnings, inner): tensor for name, tensor in kept.items()}


def _towered(name: str, layout: Layout) -> str:
    """A name of the tower as the layout spells it, whichever of the two ways a file has it."""
    flat = name.replace(f"vision_tower.{_NESTED}", "vision_tower.")
    nested = layout.beginnings["tower"].endswith(f"vision_tower.{_NESTED}")
    return flat.replace("vision_tower.", f"vision_tower.{_NESTED}") if nested else flat


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
