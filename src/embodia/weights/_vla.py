"""What LeRobot's vision-language-action policies share on disk: sizes by name, how sentences and states are prepared.

Their files name a public language model and hold its weights, not the pieces of its vocabulary: lay that model's
`tokenizer.json` beside the weights, or sentences are read as bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from embodia.core.errors import ConfigError
from embodia.core.specs import Contract
from embodia.nn.transformer import TransformerConfig
from embodia.parts.decoders.flow import FlowConfig
from embodia.parts.encoders.siglip import SiglipConfig
from embodia.policies.pi0 import GEMMA_2B, GEMMA_300M
from embodia.weights._lerobot import Facts, Step
from embodia.weights._pi0 import Layout, write

GEMMA: Mapping[str, TransformerConfig] = {"gemma_2b": GEMMA_2B, "gemma_300m": GEMMA_300M}
"""Sizes by LeRobot's name."""
EYES: Mapping[str, SiglipConfig] = {"siglip": SiglipConfig(smooth=False)}
"""The tower of all of them; pixels are picked, not averaged, where pictures shrink."""
PALIGEMMA = "google/paligemma-3b-pt-224"
_SILENT = "paligemma_with_expert.gemma_expert.lm_head.weight"
_WORDS = "paligemma_with_expert.paligemma.model.language_model.embed_tokens.weight"
_HEAD = "paligemma_with_expert.paligemma.lm_head.weight"
RELATIVE: Step = {
    "registry_name": "relative_actions_processor",
    "config": {"enabled": False, "exclude_joints": ["gripper"], "action_names": None},
}
ABSOLUTE: Step = {"registry_name": "absolute_actions_processor", "config": {"enabled": False}}


def gemma(facts: Facts, field: str) -> TransformerConfig:
    """The sizes that a field names. Raises `CheckpointError`."""
    facts.require(field, *GEMMA)
    return GEMMA[str(facts.get(field))]


def eye(facts: Facts) -> SiglipConfig:
    """The tower at the checkpoint's resolution. Raises `CheckpointError` for one that is no square."""
    height, width = facts.get("image_resolution")
    facts.require("image_resolution", [height, height], (height, height))
    return replace(EYES["siglip"], pixels=int(width))


def check(facts: Facts) -> None:
    """Raise `CheckpointError` for settings of the pi family that cannot be built."""
    facts.require("use_relative_actions", False, default=False)
    facts.require("max_state_dim", facts.get("max_action_dim"))
    facts.require("min_period", 4e-3, default=4e-3)
    facts.require("max_period", 4.0, default=4.0)


def flow(facts: Facts) -> FlowConfig:
    """How the flow is learned and integrated. Raises `CheckpointError` for another family of times."""
    facts.require("time_sampling_beta_beta", 1.0)
    return FlowConfig(
        steps=facts.get("num_inference_steps"),
        time_power=facts.get("time_sampling_beta_alpha"),
        time_least=facts.get("time_sampling_offset"),
    )


def flow_facts(config: FlowConfig) -> dict[str, Any]:
    """The same in LeRobot's words."""
    return {
        "num_inference_steps": config.steps,
        "time_sampling_beta_alpha": config.time_power,
        "time_sampling_beta_beta": 1.0,
        "time_sampling_offset": config.time_least,
        "time_sampling_scale": 1.0 - config.time_least,
        "min_period": 4e-3,
        "max_period": 4.0,
    }


def shared_facts(kind: str, chunk: int, execute: int | None, padded: int, length: int) -> dict[str, Any]:
    """Fields that all of them have."""
    return {
        "type": kind,
        "n_obs_steps": 1,
        "device": "cpu",
        "chunk_size": chunk,
        "n_action_steps": execute or chunk,
        "max_state_dim": padded,
        "max_action_dim": padded,
        "empty_cameras": 0,
        "tokenizer_max_length": length,
    }


def name_of(size: TransformerConfig, leaf: str) -> str:
    """LeRobot's name of a size. Raises `ConfigError`."""
    for name, known in GEMMA.items():
        if known == size:
            return name
    raise ConfigError(f"LeRobot's comes in the sizes {sorted(GEMMA)}", leaf=leaf)


def check_eye(vision: object, contract: Contract) -> SiglipConfig:
    """The tower if LeRobot has it. Raises `ConfigError` for another one, or for pictures it would shrink otherwise."""
    known = EYES["siglip"]
    if not isinstance(vision, SiglipConfig) or replace(vision, pixels=known.pixels, smooth=False) != known:
        raise ConfigError("LeRobot's sees through SigLIP So400m", leaf="vision")
    sizes = {(camera.height, camera.width) for camera in contract.observation.cameras}
    if vision.smooth and sizes != {(vision.pixels, vision.pixels)}:
        raise ConfigError("LeRobot's picks pixels where pictures shrink, this one averages them", leaf="vision.smooth")
    return vision


def words(name: str, length: int, padding: str = "max_length") -> Step:
    """The step that makes ids of sentences, by the name of a public model."""
    config = {"max_length": length, "task_key": "task", "padding_side": "right", "padding": padding}
    return {"registry_name": "tokenizer_processor", "config": {**config, "truncation": True, "tokenizer_name": name}}


def named(tensors: Mapping[str, Tensor], layout: Layout, expert: int = 0) -> dict[str, Tensor]:
    """Our tensors as LeRobot stores them, with the heads of words that it has: one tied, one silent (`expert` wide)."""
    found = write(tensors, layout)
    if _WORDS in found:
        found[_HEAD] = found[_WORDS].clone()
        if expert:
            found[_SILENT] = found[_WORDS].new_zeros(len(found[_WORDS]), expert)
    return {f"{layout.leading}{name}": tensor for name, tensor in found.items()}
