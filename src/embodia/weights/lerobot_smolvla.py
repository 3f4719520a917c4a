"""SmolVLA as LeRobot writes it (0.3 to 0.6), the layout of its files on the hub too.

Its projector folds pixels with the channels fastest and its pictures are multiplied by the root of the width, both of
which our projector holds in its weights. The one thing to watch: sizes are those of the public model that the
configuration names; only those of SmolVLM2 500M are known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from embodia.builders.flow_vla import FlowVlaConfig
from embodia.core.errors import CheckpointError, ConfigError
from embodia.core.specs import Contract
from embodia.nn.expert import ExpertConfig
from embodia.parts.compose import Inference
from embodia.parts.encoders.towers import TowerConfig
from embodia.parts.tokenizers.text import INSTALLED
from embodia.policies import PolicySpec
from embodia.policies.smolvla import PAPER, Config
from embodia.weights import Foreign, _lerobot, _pi0, _vla

POLICY = "smolvla"
MODELS: Mapping[str, FlowVlaConfig] = {"HuggingFaceTB/SmolVLM2-500M-Video-Instruct": PAPER}
"""Sizes by the public model's name."""
_PIECES = f"{INSTALLED}smollm2_135m"
_PROJECTOR = "encoders.image.project.weight"
_NEWLINE = {"registry_name": "smolvla_new_line_processor", "config": {}}
_FIXED = {
    "resize_imgs_with_padding": [512, 512],
    "adapt_to_pi_aloha": False,
    "use_delta_joint_actions_aloha": False,
    "add_image_special_tokens": False,
    "attention_mode": "cross_attn",
    "num_expert_layers": -1,
    "min_period": 4e-3,
    "max_period": 4.0,
}


def recognise(folder: Path) -> bool:
    """Whether LeRobot wrote a SmolVLA into `folder`."""
    return _lerobot.is_of(folder, "smolvla")


def read(folder: Path, contract: Contract) -> Foreign:
    """The policy in `folder`. Raises `CheckpointError`, `ContractError`."""
    facts = _lerobot.Facts(folder)
    facts.check_contract(contract)
    found = _pi0.read(_lerobot.read_weights(folder, ""), _pi0.LEROBOT_SMOLVLA)
    config = config_of(facts, len(found["backbone.vocabulary.table.weight"]), _lerobot.vocabulary(folder) or _PIECES)
    return Foreign(
        spec=PolicySpec(name=POLICY, size="paper", contract=contract, config=config),
        statistics=_lerobot.read_statistics(folder, colours=False),
        tensors=_unfolded(found, config.model.vlm.projector.shuffle),
    )


def config_of(facts: _lerobot.Facts, pieces: int, file: str = _PIECES) -> Config:
    """Our configuration of a LeRobot one with `pieces` words. Raises `CheckpointError` for what cannot be built."""
    for field in ("adapt_to_pi_aloha", "use_delta_joint_actions_aloha", "add_image_special_tokens"):
        facts.require(field, False, default=False)
    for field in ("attention_mode", "min_period", "max_period"):
        facts.require(field, _FIXED[field])
    facts.require("vlm_model_name", *MODELS)
    facts.require("max_state_dim", facts.get("max_action_dim"))
    depth, base = facts.get("num_vlm_layers"), MODELS[str(facts.get("vlm_model_name"))]
    facts.require("num_expert_layers", -1, 0, depth)
    if depth < 1:
        raise CheckpointError("how many layers are kept is not said", file=facts.file, leaf="num_vlm_layers")
    height, pixels = facts.get("resize_imgs_with_padding")
    facts.require("resize_imgs_with_padding", [height, height], (height, height))
    width = int(base.vlm.model.width * facts.get("expert_width_multiplier"))
    model = replace(
        _sized(base, depth, width, facts.get("self_attn_every_n_layers")),
        padded=facts.get("max_action_dim"),
        flow=replace(base.flow, steps=facts.get("num_steps")),
        normalization=facts.mode(),
    )
    text = replace(base.vlm.text, vocabulary=pieces, file=file, length=facts.get("tokenizer_max_length"))
    vision = replace(base.vlm.vision, pixels=pixels, fit="corner", smooth=False)  # type: ignore[arg-type]
    model = replace(model, vlm=replace(model.vlm, vision=vision, text=text))
    return Config(chunk=facts.get("chunk_size"), model=model, inference=Inference(execute=facts.get("n_action_steps")))


def write(foreign: Foreign, out: Path) -> None:
    """Write the policy for LeRobot. Raises `ConfigError` where LeRobot's SmolVLA has no such thing."""
    config, contract = foreign.spec.config, foreign.spec.contract
    model, text = config.model, config.model.vlm.text
    name = _public(model, contract)
    facts = {
        **_FIXED,
        **_vla.shared_facts("smolvla", config.chunk, config.inference.execute, model.padded, text.length),
        "resize_imgs_with_padding": [model.vlm.vision.pixels] * 2,
        "num_steps": config.inference.steps or model.flow.steps,
        "vlm_model_name": name,
        "load_vlm_weights": False,
        "num_vlm_layers": model.vlm.model.depth,
        "self_attn_every_n_layers": model.kind.self_every,
        "expert_width_multiplier": model.expert.width / model.vlm.model.width,
    }
    _lerobot.write_checkpoint(
        out,
        config=facts,
        tensors=theirs(foreign.tensors, model.vlm.projector.shuffle),
        contract=contract,
        statistics=foreign.statistics,
        mode=model.normalization,
        pictures="IDENTITY",
        before=(_NEWLINE, _vla.words(name, text.length, "longest"), _lerobot.DEVICE, _lerobot.UNITS),
    )


def ours(tensors: Mapping[str, Tensor], shuffle: int = 4) -> dict[str, Tensor]:
    """Our state dictionary, without the units. Raises `CheckpointError` on unknown names."""
    return _unfolded(_pi0.read(tensors, _pi0.LEROBOT_SMOLVLA), shuffle)


def theirs(tensors: Mapping[str, Tensor], shuffle: int = 4) -> dict[str, Tensor]:
    """The other way round. Raises `CheckpointError` on unknown names."""
    weight = tensors[_PROJECTOR]
    squares = (weight / len(weight) ** 0.5).unflatten(1, (-1, shuffle, shuffle)).permute(0, 2, 3, 1)
    return _vla.named({**tensors, _PROJECTOR: squares.flatten(1)}, _pi0.LEROBOT_SMOLVLA)


def hidden(width: int) -> int:
    """LeRobot's hidden width of an expert: 8/3 of its width, up to a multiple of 256."""
    return 256 * -(-int(4 * int(2 * width / 3)) // 256)


def _unfolded(tensors: Mapping[str, Tensor], shuffle: int) -> dict[str, Tensor]:
    weight = tensors[_PROJECTOR]
    squares = weight.unflatten(1, (shuffle, shuffle, -1)).permute(0, 3, 1, 2).flatten(1)
    return {**tensors, _PROJECTOR: squares * len(weight) ** 0.5}


def _sized(base: FlowVlaConfig, depth: int, width: int, every: int) -> FlowVlaConfig:
    """A public model's policy with `depth` layers and an expert of `width`."""
    expert = replace(base.expert, width=width, mlp_width=hidden(width), depth=depth)
    reader = replace(base.vlm.model, depth=depth)  # type: ignore[arg-type]
    return replace(base, vlm=replace(base.vlm, model=reader), expert=expert, kind=ExpertConfig(self_every=every))


def _public(model: Any, contract: Contract) -> str:
    """The name of the public model that a configuration is built on. Raises `ConfigError`."""
    eye, text = model.vlm.vision, model.vlm.text
    if not isinstance(eye, TowerConfig) or not model.padded:
        raise ConfigError("LeRobot's SmolVLA sees through a tower and pads actions", leaf="model")
    sizes = {(camera.height, camera.width) for camera in contract.observation.cameras}
    if sizes != {(eye.pixels, eye.pixels)} and (eye.fit, eye.smooth) != ("corner", False):
        raise ConfigError("LeRobot's puts pictures into the lower right corner, not averaged", leaf="model.vlm.vision")
    for name, base in MODELS.items():
        same = _sized(base, model.vlm.model.depth, model.expert.width, model.kind.self_every)
        vision = replace(same.vlm.vision, pixels=eye.pixels, fit=eye.fit, smooth=eye.smooth)  # type: ignore[arg-type]
        words = replace(same.vlm.text, vocabulary=text.vocabulary, file=text.file, length=text.length)
        same = replace(same, vlm=replace(same.vlm, vision=vision, text=words), padded=model.padded)
        if replace(same, flow=model.flow, normalization=model.normalization) == model:
            return name
    raise ConfigError(f"LeRobot's SmolVLA is built on {', '.join(MODELS)}", leaf="model")
