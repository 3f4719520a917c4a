"""ACT as LeRobot writes it (0.4 to 0.6).

Its trunk's 1x1 convolution is a linear layer here and its one table of positions is two: the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from embodia.core.errors import ConfigError
from embodia.core.specs import Contract
from embodia.nn.positional import sequence_positions
from embodia.nn.resnet import DEPTHS
from embodia.parts.compose import Inference
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.policies import PolicySpec
from embodia.policies.act import Config
from embodia.weights import Foreign, _lerobot
from embodia.weights._names import Names, resnet_pairs

POLICY = "act"
_LAYER = (
    ("self_attn.in_proj_{leaf}", "attention.project.{leaf}"),
    ("self_attn.out_proj.{leaf}", "attention.out.{leaf}"),
    ("multihead_attn.in_proj_{leaf}", "cross.project.{leaf}"),
    ("multihead_attn.out_proj.{leaf}", "cross.out.{leaf}"),
    ("linear1.{leaf}", "feed_forward.up.{leaf}"),
    ("linear2.{leaf}", "feed_forward.down.{leaf}"),
    ("norm1.{leaf}", "norm_attention.{leaf}"),
)
_TOP = (
    ("vae_encoder_cls_embed.weight", "latent.summary"),
    ("vae_encoder_robot_state_input_proj.{leaf}", "latent.state.{leaf}"),
    ("vae_encoder_action_input_proj.{leaf}", "latent.action.{leaf}"),
    ("vae_encoder_latent_output_proj.{leaf}", "latent.moments.{leaf}"),
    ("encoder_latent_input_proj.{leaf}", "latent.project.{leaf}"),
    ("encoder_robot_state_input_proj.{leaf}", "encoders.state.project.{leaf}"),
    ("encoder_img_feat_input_proj.{leaf}", "encoders.image.project.{leaf}"),
    ("encoder_1d_feature_pos_embed.weight", "positions"),
    ("decoder_pos_embed.weight", "decoder.queries"),
    ("decoder.norm.{leaf}", "decoder.norm.{leaf}"),
    ("action_head.{leaf}", "decoder.head.{leaf}"),
    ("encoder.norm.{leaf}", "backbone.norm.{leaf}"),
    ("vae_encoder.norm.{leaf}", "latent.norm.{leaf}"),
)
_FIXED = {"type": "act", "n_obs_steps": 1, "device": "cpu", "use_amp": False, "pretrained_backbone_weights": None}


def recognise(folder: Path) -> bool:
    """Whether LeRobot wrote an ACT into `folder`."""
    return _lerobot.is_of(folder, "act")


def read(folder: Path, contract: Contract) -> Foreign:
    """The policy in `folder`. Raises `CheckpointError`, `ContractError`."""
    facts = _lerobot.Facts(folder)
    facts.check_contract(contract)
    facts.require("feedforward_activation", "relu")
    facts.require("replace_final_stride_with_dilation", False)
    facts.require("vision_backbone", *(f"resnet{depth}" for depth in DEPTHS))
    depth = int(facts.get("vision_backbone").removeprefix("resnet"))
    config = Config(
        chunk=facts.get("chunk_size"),
        vision=ResNetConfig(depth=depth),
        width=facts.get("dim_model"),
        heads=facts.get("n_heads"),
        hidden=facts.get("dim_feedforward"),
        encoder_layers=facts.get("n_encoder_layers"),
        decoder_layers=facts.get("n_decoder_layers"),
        posterior_layers=facts.get("n_vae_encoder_layers") if facts.get("use_vae") else 0,
        latent=facts.get("latent_dim"),
        kl_weight=facts.get("kl_weight"),
        dropout=facts.get("dropout"),
        pre_norm=facts.get("pre_norm"),
        normalization=facts.mode(),
        reduction="batch",
        inference=Inference(execute=facts.get("n_action_steps"), ensemble=facts.get("temporal_ensemble_coeff")),
    )
    return Foreign(
        spec=PolicySpec(name=POLICY, size="paper", contract=contract, config=config),
        statistics=_lerobot.read_statistics(folder),
        tensors=ours(_lerobot.read_weights(folder, "model."), depth),
    )


def write(foreign: Foreign, out: Path) -> None:
    """Write the policy for LeRobot. Raises `ConfigError` where LeRobot's ACT has no such thing."""
    config = foreign.spec.config
    vision = config.vision
    if not isinstance(vision, ResNetConfig) or vision.norm != "frozen_batch" or vision.width != 64:
        raise ConfigError("LeRobot's ACT sees through a ResNet with frozen batch norm", leaf="vision")
    if foreign.spec.contract.observation.language or config.ahead or config.deep or config.camera_embedding:
        raise ConfigError("LeRobot's ACT has no language, no foresight, no deeper tokens", leaf="config")
    if not config.posterior_layers:
        raise ConfigError("without its posterior there is no latent position to write", leaf="posterior_layers")
    facts = {
        **_FIXED,
        "chunk_size": config.chunk,
        "n_action_steps": config.inference.execute or config.chunk,
        "vision_backbone": f"resnet{vision.depth}",
        "replace_final_stride_with_dilation": False,
        "pre_norm": config.pre_norm,
        "dim_model": config.width,
        "n_heads": config.heads,
        "dim_feedforward": config.hidden,
        "feedforward_activation": "relu",
        "n_encoder_layers": config.encoder_layers,
        "n_decoder_layers": config.decoder_layers,
        "use_vae": config.posterior_layers > 0,
        "latent_dim": config.latent,
        "n_vae_encoder_layers": config.posterior_layers or 4,
        "temporal_ensemble_coeff": config.inference.ensemble,
        "dropout": config.dropout,
        "kl_weight": config.kl_weight,
    }
    _lerobot.write_checkpoint(
        out,
        config=facts,
        tensors={f"model.{name}": tensor for name, tensor in theirs(foreign.tensors, vision.depth).items()},
        contract=foreign.spec.contract,
        statistics=foreign.statistics,
        mode=config.normalization,
    )


def ours(tensors: Mapping[str, Tensor], depth: int = 18) -> dict[str, Tensor]:
    """Our state dictionary, without the units. Raises `CheckpointError` on unknown names."""
    found = _names(depth).ours(tensors)
    latent, state = found.pop("positions").split(1)
    found |= {"latent.position": latent, "encoders.state.position": state}
    found["encoders.image.project.weight"] = found["encoders.image.project.weight"].flatten(1)
    found["latent.summary"] = found["latent.summary"][None]
    return found


def theirs(tensors: Mapping[str, Tensor], depth: int = 18) -> dict[str, Tensor]:
    """The other way round; the table of posterior positions, a constant, is made anew. Raises `CheckpointError`."""
    found = {name: tensor for name, tensor in tensors.items() if "_units." not in name}
    joined = torch.cat([found.pop("latent.position"), found.pop("encoders.state.position")])
    found |= {"positions": joined, "latent.summary": found["latent.summary"][0]}
    found["encoders.image.project.weight"] = found["encoders.image.project.weight"][..., None, None]
    chunk, width = found["decoder.queries"].shape
    return {**_names(depth).theirs(found), "vae_encoder_pos_enc": sequence_positions(chunk + 2, width)[None]}


def _names(depth: int) -> Names:
    pairs = [*_TOP, *resnet_pairs("backbone.", "encoders.image.trunks.0.", DEPTHS[depth])]
    for foreign, own in (("vae_encoder", "latent"), ("encoder", "backbone"), ("decoder", "decoder")):
        second = "norm_cross" if foreign == "decoder" else "norm_feed_forward"
        layer = (*_LAYER, ("norm2.{leaf}", f"{second}.{{leaf}}"), ("norm3.{leaf}", "norm_feed_forward.{leaf}"))
        pairs += [(f"{foreign}.layers.{{i}}.{a}", f"{own}.layers.{{i}}.{b}") for a, b in layer]
    return Names(pairs, unused=("vae_encoder_pos_enc",))
