"""pi0 as LeRobot writes it (0.6), the layout of its files on the hub too.

The words' embeddings come with the weights, the pieces they belong to do not: without the vocabulary file of the public
model the sentence is read as bytes, which that vocabulary holds too but was not trained to read alone.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from embodia.core.errors import ConfigError
from embodia.core.specs import Contract
from embodia.parts.compose import Inference
from embodia.policies import PolicySpec
from embodia.policies.pi0 import Config
from embodia.weights import Foreign, _lerobot, _pi0, _vla

POLICY = "pi0"
_NEWLINE = {"registry_name": "pi0_new_line_processor", "config": {}}


def recognise(folder: Path) -> bool:
    """Whether LeRobot wrote a pi0 into `folder`."""
    return _lerobot.is_of(folder, "pi0")


def read(folder: Path, contract: Contract) -> Foreign:
    """The policy in `folder`. Raises `CheckpointError`, `ContractError`."""
    facts = _lerobot.Facts(folder)
    facts.check_contract(contract)
    tensors = _pi0.read(_lerobot.read_weights(folder, ""), _pi0.LEROBOT)
    config = config_of(facts, len(tensors["encoders.language.embed.weight"]), _lerobot.vocabulary(folder))
    return Foreign(
        spec=PolicySpec(name=POLICY, size="paper", contract=contract, config=config),
        statistics=_lerobot.read_statistics(folder, colours=False, mode=config.normalization),
        tensors=tensors,
    )


def config_of(facts: _lerobot.Facts, pieces: int = Config.vocabulary, file: str = "") -> Config:
    """Our configuration of a LeRobot one with `pieces` words. Raises `CheckpointError` for what cannot be built."""
    _vla.check(facts)
    return Config(
        chunk=facts.get("chunk_size"),
        vision=_vla.eye(facts),
        tokenizer_file=file,
        vocabulary=pieces,
        text_length=facts.get("tokenizer_max_length"),
        prefix=_vla.gemma(facts, "paligemma_variant"),
        expert=_vla.gemma(facts, "action_expert_variant"),
        padded=facts.get("max_action_dim"),
        flow=_vla.flow(facts),
        normalization=facts.mode(),
        inference=Inference(execute=facts.get("n_action_steps")),
    )


def write(foreign: Foreign, out: Path) -> None:
    """Write the policy for LeRobot. Raises `ConfigError` where LeRobot's pi0 has no such thing."""
    config, contract = foreign.spec.config, foreign.spec.contract
    if config.language != "pieces" or config.camera_embedding or config.deep or not config.padded:
        raise ConfigError("LeRobot's pi0 has words, padded actions and plain tokens: the paper's size", leaf="config")
    vision = _vla.check_eye(config.vision, contract)
    facts = {
        **_vla.shared_facts("pi0", config.chunk, config.inference.execute, config.padded, config.text_length),
        **_vla.flow_facts(replace(config.flow, steps=config.inference.steps or config.flow.steps)),
        "dtype": "float32",
        "paligemma_variant": _vla.name_of(config.prefix, "prefix"),
        "action_expert_variant": _vla.name_of(config.expert, "expert"),
        "use_relative_actions": False,
        "image_resolution": [vision.pixels, vision.pixels],
    }
    words = _vla.words(_vla.PALIGEMMA, config.text_length)
    _lerobot.write_checkpoint(
        out,
        config=facts,
        tensors=_vla.named(foreign.tensors, _pi0.LEROBOT, config.expert.width),
        contract=contract,
        statistics=foreign.statistics,
        mode=config.normalization,
        pictures="IDENTITY",
        before=(_NEWLINE, words, _lerobot.DEVICE, _vla.RELATIVE, _lerobot.UNITS),
        after=(_lerobot.UNITS, _vla.ABSOLUTE, _lerobot.DEVICE),
    )
