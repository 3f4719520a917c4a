"""LeRobot's ACT checkpoint names (0.4 to 0.6) as ours.

Its normalisation lives in a processor beside the model, so the units of state and action come from there. The trunk's
1x1 convolution is a linear layer here: the same numbers, without two axes of length one.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from embodia.nn.resnet import DEPTHS
from embodia.parts.convert import rename, resnet_names

_LAYER = (
    (r"self_attn\.in_proj_(\w+)", r"attention.project.\2"),
    (r"self_attn\.out_proj\.(\w+)", r"attention.out.\2"),
    (r"multihead_attn\.in_proj_(\w+)", r"cross.project.\2"),
    (r"multihead_attn\.out_proj\.(\w+)", r"cross.out.\2"),
    (r"linear1\.(\w+)", r"feed_forward.up.\2"),
    (r"linear2\.(\w+)", r"feed_forward.down.\2"),
    (r"norm1\.(\w+)", r"norm_attention.\2"),
)

_TOP = (
    ("vae_encoder_cls_embed.weight", "latent.summary"),
    ("vae_encoder_pos_enc", ""),
    (r"vae_encoder_robot_state_input_proj\.(\w+)", r"latent.state.\1"),
    (r"vae_encoder_action_input_proj\.(\w+)", r"latent.action.\1"),
    (r"vae_encoder_latent_output_proj\.(\w+)", r"latent.moments.\1"),
    (r"encoder_latent_input_proj\.(\w+)", r"latent.project.\1"),
    (r"encoder_robot_state_input_proj\.(\w+)", r"encoders.state.project.\1"),
    (r"encoder_img_feat_input_proj\.(\w+)", r"encoders.image.project.\1"),
    (r"encoder_1d_feature_pos_embed\.weight", "positions"),
    (r"decoder_pos_embed\.weight", "decoder.queries"),
    (r"decoder\.norm\.(\w+)", r"decoder.norm.\1"),
    (r"action_head\.(\w+)", r"decoder.head.\1"),
    (r"encoder\.norm\.(\w+)", r"backbone.norm.\1"),
    (r"vae_encoder\.norm\.(\w+)", r"latent.norm.\1"),
)


def convert_act(tensors: Mapping[str, Tensor], depth: int = 18) -> dict[str, Tensor]:
    """Our state dictionary, without the units; `tensors` is the peer's. Raises `CheckpointError` on unknown names."""
    inner = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
    trunk = resnet_names(inner, "backbone.", DEPTHS[depth])
    ours = {f"encoders.image.trunks.0.{to}": inner[name] for name, to in trunk.items()}
    ours |= rename({name: tensor for name, tensor in inner.items() if name not in trunk}, _rules())
    latent, state = ours.pop("positions").split(1)
    weight = ours["encoders.image.project.weight"].flatten(1)
    summary = ours["latent.summary"][None]
    return ours | {
        "latent.position": latent,
        "encoders.state.position": state,
        "encoders.image.project.weight": weight,
        "latent.summary": summary,
    }


def _rules() -> list[tuple[str, str]]:
    rules = list(_TOP)
    for theirs, mine in (("vae_encoder", "latent"), ("encoder", "backbone"), ("decoder", "decoder")):
        second = "norm_cross" if theirs == "decoder" else "norm_feed_forward"
        layer = (*_LAYER, (r"norm2\.(\w+)", rf"{second}.\2"), (r"norm3\.(\w+)", r"norm_feed_forward.\2"))
        rules += [(rf"{theirs}\.layers\.(\d+)\.{pattern}", rf"{mine}.layers.\1.{to}") for pattern, to in layer]
    return rules
