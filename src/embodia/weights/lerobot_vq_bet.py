"""VQ-BeT as LeRobot writes it (0.4 to 0.6), its codes learned.

Every number crosses unchanged. The one thing to watch: LeRobot draws codes in acting and here the likeliest are taken,
so two runs there differ and two runs here do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from embodia.builders.vlm import VlmConfig
from embodia.core.errors import CheckpointError, ConfigError
from embodia.core.specs import Contract
from embodia.nn.gpt import GptConfig
from embodia.nn.keypoints import centres
from embodia.nn.resnet import DEPTHS, ResNet
from embodia.parts.decoders.offset import OffsetConfig
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.parts.encoders.window import WindowConfig
from embodia.parts.tokenizers.rvq import ResidualConfig
from embodia.policies import PolicySpec
from embodia.policies.vq_bet import Config
from embodia.weights import Foreign, _lerobot
from embodia.weights._names import Names, resnet_pairs

POLICY = "vq_bet"
_CODER, _MINE = "action_head.vqvae_model.", "decoder.tokenizer.coder."
_BOOK = f"{_CODER}vq_layer.layers.{{i}}._codebook"
_GPT, _ENGINE = "policy.transformer.", "backbone.engine."
_PAIRS = (
    ("action_token", "encoders.window.query"),
    ("state_projector.0.{leaf}", "encoders.window.state.{leaf}"),
    ("rgb_feature_projector.0.{leaf}", "encoders.window.picture.{leaf}"),
    ("rgb_encoder.pool.nets.{leaf}", "encoders.window.eyes.points.0.maps.{leaf}"),
    ("rgb_encoder.out.{leaf}", "encoders.window.eyes.out.0.{leaf}"),
    (f"{_GPT}wte.{{leaf}}", f"{_ENGINE}first.{{leaf}}"),
    (f"{_GPT}wpe.{{leaf}}", f"{_ENGINE}places.{{leaf}}"),
    (f"{_GPT}h.{{i}}.ln_1.{{leaf}}", f"{_ENGINE}layers.{{i}}.attention_norm.{{leaf}}"),
    (f"{_GPT}h.{{i}}.attn.c_attn.{{leaf}}", f"{_ENGINE}layers.{{i}}.project.{{leaf}}"),
    (f"{_GPT}h.{{i}}.attn.c_proj.{{leaf}}", f"{_ENGINE}layers.{{i}}.out.{{leaf}}"),
    (f"{_GPT}h.{{i}}.ln_2.{{leaf}}", f"{_ENGINE}layers.{{i}}.norm.{{leaf}}"),
    (f"{_GPT}h.{{i}}.mlp.0.{{leaf}}", f"{_ENGINE}layers.{{i}}.up.{{leaf}}"),
    (f"{_GPT}h.{{i}}.mlp.2.{{leaf}}", f"{_ENGINE}layers.{{i}}.down.{{leaf}}"),
    (f"{_GPT}ln_f.{{leaf}}", f"{_ENGINE}norm.{{leaf}}"),
    ("policy.lm_head.{leaf}", f"{_ENGINE}last.{{leaf}}"),
    ("action_head.map_to_cbet_preds_bin.0.{leaf}", "decoder.classes.{leaf}"),
    ("action_head.map_to_cbet_preds_offset.0.{leaf}", "decoder.offsets.{leaf}"),
    (f"{_CODER}encoder.{{i}}.{{leaf}}", f"{_MINE}encoder.{{i}}.{{leaf}}"),
    (f"{_CODER}decoder.{{i}}.{{leaf}}", f"{_MINE}decoder.{{i}}.{{leaf}}"),
    (f"{_BOOK}.embed", f"{_MINE}quantizer.books.{{i}}.vectors"),
)
_UNUSED = (
    r"select_target_actions_indices",
    r"rgb_encoder\.pool\.pos_grid",
    r"rgb_encoder\.backbone\..*\.num_batches_tracked",
    r"policy\.transformer\.h\.\d+\.attn\.bias",
    r"action_head\.vqvae_model\.(discretized|vq_layer\.freeze_codebook)",
    r"action_head\.vqvae_model\.vq_layer\.layers\.\d+\._codebook\.(initted|cluster_size|embed_avg)",
)
_FIXED = {
    "type": "vqbet",
    "device": "cpu",
    "use_amp": False,
    "n_action_pred_token": 1,
    "crop_is_random": True,
    "pretrained_backbone_weights": None,
    "sequentially_select": False,
}


def recognise(folder: Path) -> bool:
    """Whether LeRobot wrote a VQ-BeT into `folder`."""
    return _lerobot.is_of(folder, "vqbet")


def read(folder: Path, contract: Contract) -> Foreign:
    """The policy in `folder`. Raises `CheckpointError`, `ContractError`."""
    facts = _lerobot.Facts(folder)
    facts.check_contract(contract)
    config, tensors = _config_of(facts), _lerobot.read_weights(folder, "vqbet.")
    learned = tensors.get(f"{_CODER}discretized")
    if learned is None or not bool(learned):
        raise CheckpointError("its codes were never learned", file=folder / _lerobot.MODEL, leaf=f"{_CODER}discretized")
    return Foreign(
        spec=PolicySpec(name=POLICY, size="paper", contract=contract, config=config),
        statistics=_lerobot.read_statistics(folder, colours=facts.pictures() == "MEAN_STD"),
        tensors=ours(tensors, _depth(facts)),
    )


def write(foreign: Foreign, out: Path) -> None:
    """Write the policy for LeRobot. Raises `ConfigError` where LeRobot's VQ-BeT has no such thing."""
    config, contract = foreign.spec.config, foreign.spec.contract
    _check(config, contract)
    window, model, vision = config.window, config.trunk.model, config.trunk.vision
    facts = {
        **_FIXED,
        "n_obs_steps": window.history,
        "action_chunk_size": config.chunk,
        "vision_backbone": f"resnet{vision.depth}",
        "use_group_norm": vision.norm == "group",
        "crop_shape": list(window.crop) if any(window.crop) else None,
        "spatial_softmax_num_keypoints": window.keypoints,
        "n_vqvae_training_steps": config.codes.steps,
        "vqvae_n_embed": config.codes.codes,
        "vqvae_embedding_dim": config.codes.width,
        "vqvae_enc_hidden_dim": config.codes.hidden,
        "gpt_block_size": model.places,
        "gpt_input_dim": window.width,
        "gpt_output_dim": model.outputs,
        "gpt_n_layer": model.depth,
        "gpt_n_head": model.heads,
        "gpt_hidden_dim": model.width,
        "dropout": model.dropout,
        "offset_loss_weight": config.offset_weight,
        "primary_code_loss_weight": config.head.levels[0],
        "secondary_code_loss_weight": config.head.levels[1],
        "bet_softmax_temperature": config.head.temperature,
    }
    camera = contract.observation.cameras[0]
    size = tuple(cut or whole for cut, whole in zip(window.crop, (camera.height, camera.width), strict=True))
    tensors = {**theirs(foreign.tensors, vision.depth), **_constants(config, size)}
    _lerobot.write_checkpoint(
        out,
        config=facts,
        tensors={f"vqbet.{name}": tensor for name, tensor in tensors.items()},
        contract=contract,
        statistics=foreign.statistics,
        mode=config.normalization,
        pictures="IDENTITY" if vision.scaling == "unit" else "MEAN_STD",
    )


def ours(tensors: Mapping[str, Tensor], depth: int = 18) -> dict[str, Tensor]:
    """Our state dictionary, without the units. Raises `CheckpointError` on unknown names."""
    found = _names(depth).ours(tensors)
    found["encoders.window.query"] = found["encoders.window.query"].flatten()
    return {name: tensor[0] if name.endswith(".vectors") else tensor for name, tensor in found.items()}


def theirs(tensors: Mapping[str, Tensor], depth: int = 18) -> dict[str, Tensor]:
    """The other way round, with what belongs to codes that no longer move. Raises `CheckpointError`."""
    kept = {name: tensor for name, tensor in tensors.items() if "_units." not in name}
    found = _names(depth).theirs({n: t[None] if n.endswith(".vectors") else t for n, t in kept.items()})
    found["action_token"] = found["action_token"][None, None]
    for name in [name for name in found if name.endswith("._codebook.embed")]:
        book = name.removesuffix("embed")
        found |= {f"{book}embed_avg": found[name].clone(), f"{book}initted": torch.ones(1)}
        found[f"{book}cluster_size"] = torch.ones(found[name].shape[:2])
    for name in [name for name in found if name.endswith(".running_var")]:
        found[name.replace("running_var", "num_batches_tracked")] = torch.tensor(0)
    return found


def _depth(facts: _lerobot.Facts) -> int:
    return int(str(facts.get("vision_backbone")).removeprefix("resnet"))


def _config_of(facts: _lerobot.Facts) -> Config:
    facts.require("sequentially_select", False)
    facts.require("vision_backbone", *(f"resnet{depth}" for depth in DEPTHS))
    vision = ResNetConfig(
        depth=_depth(facts),
        norm="group" if facts.get("use_group_norm") else "frozen_batch",
        scaling="imagenet" if facts.pictures() == "MEAN_STD" else "unit",
    )
    model = GptConfig(
        width=facts.get("gpt_hidden_dim"),
        depth=facts.get("gpt_n_layer"),
        heads=facts.get("gpt_n_head"),
        hidden=4 * facts.get("gpt_hidden_dim"),
        places=facts.get("gpt_block_size"),
        dropout=facts.get("dropout"),
        inputs=facts.get("gpt_input_dim"),
        outputs=facts.get("gpt_output_dim"),
    )
    window = WindowConfig(
        history=facts.get("n_obs_steps"),
        keypoints=facts.get("spatial_softmax_num_keypoints"),
        width=facts.get("gpt_input_dim"),
        crop=tuple(facts.get("crop_shape") or (0, 0)),
    )
    return Config(
        chunk=facts.get("action_chunk_size"),
        trunk=VlmConfig(vision=vision, model=model),
        window=window,
        codes=ResidualConfig(
            codes=facts.get("vqvae_n_embed"),
            hidden=facts.get("vqvae_enc_hidden_dim"),
            width=facts.get("vqvae_embedding_dim"),
            steps=facts.get("n_vqvae_training_steps"),
        ),
        head=OffsetConfig(
            levels=(facts.get("primary_code_loss_weight"), facts.get("secondary_code_loss_weight")),
            temperature=facts.get("bet_softmax_temperature"),
            at="drawn",
        ),
        offset_weight=facts.get("offset_loss_weight"),
        normalization=facts.mode(),
    )


def _check(config: Any, contract: Contract) -> None:
    vision, model, seen = config.trunk.vision, config.trunk.model, contract.observation
    if config.window is None or config.codes.levels != 2 or config.head.deep or config.head.gamma != 2.0:
        raise ConfigError("LeRobot's VQ-BeT reads a window of moments and says two levels of codes", leaf="window")
    if not isinstance(vision, ResNetConfig) or vision.width != 64 or vision.scaling == "symmetric":
        raise ConfigError("LeRobot's VQ-BeT sees through a ResNet of full width", leaf="trunk.vision")
    if model.inputs != config.window.width or not model.outputs or not model.places or model.hidden != 4 * model.width:
        raise ConfigError("LeRobot's GPT has layers at both ends and learned positions", leaf="trunk.model")
    if len(seen.cameras) != 1 or seen.language or not seen.state_dim:
        raise ConfigError("LeRobot's VQ-BeT has one camera, a state and no language", leaf="contract.observation")
    if (config.inference.execute or config.chunk) != config.chunk or config.inference.ensemble is not None:
        raise ConfigError("LeRobot's VQ-BeT executes whole chunks", leaf="inference")


def _constants(config: Any, size: tuple[int, ...]) -> dict[str, Tensor]:
    """Tables that LeRobot computes and stores all the same, for pictures of `size`."""
    like, places = torch.zeros(()), config.trunk.model.places
    rows, columns = (centres(ResNet.map_size(pixels), like) for pixels in size)
    grid = torch.stack([columns.repeat(len(rows)), rows.repeat_interleave(len(columns))], dim=1)
    past = torch.ones(places, places).tril()[None, None]
    steps = torch.arange(config.window.history)[:, None] + torch.arange(config.chunk)
    flags = dict.fromkeys((f"{_CODER}discretized", f"{_CODER}vq_layer.freeze_codebook"), torch.tensor(True))
    looks = {f"{_GPT}h.{index}.attn.bias": past for index in range(config.trunk.model.depth)}
    tables = {"select_target_actions_indices": steps, "rgb_encoder.pool.pos_grid": grid, **looks, **flags}
    return {name: tensor.clone() for name, tensor in tables.items()}


def _names(depth: int) -> Names:
    trunk = resnet_pairs("rgb_encoder.backbone.", "encoders.window.eyes.trunks.0.", DEPTHS[depth], numbered=True)
    return Names([*_PAIRS, *trunk], unused=_UNUSED)
