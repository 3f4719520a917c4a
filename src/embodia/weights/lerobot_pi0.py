"""pi0 as LeRobot writes it (0.6), the layout of its files on the hub too.

The words' embeddings come with the weights, the pieces they belong to do not: without the vocabulary file of the public
model the sentence is read as bytes, which that vocabulary holds too but was not trained to read alone.
"""

from __future__ import annotations

from pathlib import Path

from embodia.core.errors import ConfigError
from embodia.core.specs import Contract
from embodia.parts.compose import Inference
from embodia.parts.decoders.flow import FlowConfig
from embodia.parts.encoders.siglip import SiglipConfig
from embodia.policies import PolicySpec
from embodia.policies.pi0 import GEMMA_2B, GEMMA_300M, Config
from embodia.weights import Foreign, _lerobot, _pi0

POLICY = "pi0"
_SIZES = {"gemma_2b": GEMMA_2B, "gemma_300m": GEMMA_300M}


def recognise(folder: Path) -> bool:
    """Whether LeRobot wrote a pi0 into `folder`."""
    return _lerobot.is_of(folder, "pi0")


def read(folder: Path, contract: Contract) -> Foreign:
    """The policy in `folder`. Raises `CheckpointError`, `ContractError`."""
    facts = _lerobot.Facts(folder)
    facts.check_contract(contract)
    return Foreign(
        spec=PolicySpec(name=POLICY, size="paper", contract=contract, config=config_of(facts)),
        statistics=_lerobot.read_statistics(folder, colours=False),
        tensors=_pi0.read(_lerobot.read_weights(folder, ""), _pi0.LEROBOT),
    )


def config_of(facts: _lerobot.Facts) -> Config:
    """Our configuration of a LeRobot one. Raises `CheckpointError` for what cannot be built."""
    facts.require("paligemma_variant", *_SIZES)
    facts.require("action_expert_variant", *_SIZES)
    facts.require("time_sampling_beta_beta", 1.0)
    facts.require("use_relative_actions", False)
    facts.require("empty_cameras", 0)
    facts.require("max_state_dim", facts.get("max_action_dim"))
    return Config(
        chunk=facts.get("chunk_size"),
        vision=SiglipConfig(pixels=facts.get("image_resolution")[0]),
        text_length=facts.get("tokenizer_max_length"),
        prefix=_SIZES[facts.get("paligemma_variant")],
        expert=_SIZES[facts.get("action_expert_variant")],
        padded=facts.get("max_action_dim"),
        flow=FlowConfig(
            steps=facts.get("num_inference_steps"),
            time_power=facts.get("time_sampling_beta_alpha"),
            time_least=facts.get("time_sampling_offset"),
        ),
        normalization=facts.mode(),
        inference=Inference(execute=facts.get("n_action_steps")),
    )


def write(foreign: Foreign, out: Path) -> None:
    """Write the policy for LeRobot. Raises `ConfigError` where LeRobot's pi0 has no such thing."""
    config, variants = foreign.spec.config, {size: name for name, size in _SIZES.items()}
    if config.language != "pieces" or not isinstance(config.vision, SiglipConfig) or not config.padded:
        raise ConfigError("LeRobot's pi0 has a SigLIP tower, words and padded actions: the paper's size", leaf="config")
    if config.prefix not in variants or config.expert not in variants:
        raise ConfigError(f"LeRobot's pi0 comes in the sizes {sorted(_SIZES)}", leaf="prefix")
    pixels = config.vision.pixels
    facts = {
        "type": "pi0",
        "n_obs_steps": 1,
        "device": "cpu",
        "dtype": "float32",
        "paligemma_variant": variants[config.prefix],
        "action_expert_variant": variants[config.expert],
        "chunk_size": config.chunk,
        "n_action_steps": config.inference.execute or config.chunk,
        "max_state_dim": config.padded,
        "max_action_dim": config.padded,
        "num_inference_steps": config.flow.steps,
        "time_sampling_beta_alpha": config.flow.time_power,
        "time_sampling_beta_beta": 1.0,
        "time_sampling_offset": config.flow.time_least,
        "time_sampling_scale": 1.0 - config.flow.time_least,
        "use_relative_actions": False,
        "image_resolution": [pixels, pixels],
        "empty_cameras": 0,
        "tokenizer_max_length": config.text_length,
    }
    _lerobot.write_checkpoint(
        out,
        config=facts,
        tensors=_pi0.write(foreign.tensors, _pi0.LEROBOT),
        contract=foreign.spec.contract,
        statistics=foreign.statistics,
        mode=config.normalization,
        pictures="IDENTITY",
    )
