"""pi0.5 as LeRobot writes it (0.6), the layout of its files on the hub too.

LeRobot's says no sub-task before it acts; the weights are those of the part that acts. The one thing to watch: the
state is written into the prompt in 256 steps between its 1st and 99th percentile, -1 below.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from embodia.core.errors import ConfigError
from embodia.core.specs import Contract
from embodia.parts.compose import Inference
from embodia.policies import PolicySpec
from embodia.policies.pi05 import ADAPTIVE, PAPER, PROMPT, Config
from embodia.weights import Foreign, _lerobot, _pi0, _vla

POLICY = "pi05"
_PREPARE = "pi05_prepare_state_tokenizer_processor_step"


def recognise(folder: Path) -> bool:
    """Whether LeRobot wrote a pi0.5 into `folder`."""
    return _lerobot.is_of(folder, "pi05")


def read(folder: Path, contract: Contract) -> Foreign:
    """The policy in `folder`. Raises `CheckpointError`, `ContractError`."""
    facts = _lerobot.Facts(folder)
    facts.check_contract(contract)
    tensors = ours(_lerobot.read_weights(folder, ""))
    config = config_of(facts, len(tensors["backbone.vocabulary.table.weight"]), _lerobot.vocabulary(folder))
    return Foreign(
        spec=PolicySpec(name=POLICY, size="paper", contract=contract, config=config),
        statistics=_lerobot.read_statistics(folder, colours=False, mode=facts.mode()),
        tensors=tensors,
    )


def config_of(facts: _lerobot.Facts, pieces: int, file: str = "") -> Config:
    """Our configuration of a LeRobot one with `pieces` words. Raises `CheckpointError` for what cannot be built."""
    _vla.check(facts)
    text = replace(PROMPT, vocabulary=pieces, length=facts.get("tokenizer_max_length"), file=file, openpi=True)
    reader = _vla.gemma(facts, "paligemma_variant")
    model = replace(
        PAPER,
        vlm=replace(PAPER.vlm, vision=_vla.eye(facts), model=reader, text=text),
        expert=_vla.gemma(facts, "action_expert_variant"),
        padded=facts.get("max_action_dim"),
        flow=_vla.flow(facts),
        thought=None,
        normalization=facts.mode(),
    )
    return Config(chunk=facts.get("chunk_size"), model=model, inference=Inference(execute=facts.get("n_action_steps")))


def write(foreign: Foreign, out: Path) -> None:
    """Write the policy for LeRobot. Raises `ConfigError` where LeRobot's pi0.5 has no such thing."""
    config, contract = foreign.spec.config, foreign.spec.contract
    model, text = config.model, config.model.vlm.text
    vision = _vla.check_eye(model.vlm.vision, contract)
    if model.thought is not None or model.knowledge is not None:
        raise ConfigError("LeRobot's pi0.5 says neither sub-tasks nor actions", leaf="model.thought")
    prompt = replace(PROMPT, vocabulary=text.vocabulary, length=text.length, file=text.file, openpi=True)
    if text != prompt or model.state != "text" or model.kind != ADAPTIVE or not model.padded:
        raise ConfigError("LeRobot's pi0.5 reads its state in openpi's prompt and pads actions", leaf="model")
    facts = {
        **_vla.shared_facts("pi05", config.chunk, config.inference.execute, model.padded, text.length),
        **_vla.flow_facts(replace(model.flow, steps=config.inference.steps or model.flow.steps)),
        "dtype": "float32",
        "paligemma_variant": _vla.name_of(model.vlm.model, "model.vlm.model"),
        "action_expert_variant": _vla.name_of(model.expert, "model.expert"),
        "image_resolution": [vision.pixels, vision.pixels],
        "use_relative_actions": False,
    }
    prepare = {"registry_name": _PREPARE, "config": {}}
    _lerobot.write_checkpoint(
        out,
        config=facts,
        tensors=theirs(foreign.tensors, model.expert.width),
        contract=contract,
        statistics=foreign.statistics,
        mode=model.normalization,
        pictures="IDENTITY",
        before=(_vla.RELATIVE, _lerobot.UNITS, prepare, _vla.words(_vla.PALIGEMMA, text.length), _lerobot.DEVICE),
        after=(_lerobot.UNITS, _vla.ABSOLUTE, _lerobot.DEVICE),
    )


def ours(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our state dictionary, without the units. Raises `CheckpointError` on unknown names."""
    return _pi0.read(tensors, _pi0.LEROBOT_PI05)


def theirs(tensors: Mapping[str, Tensor], expert: int) -> dict[str, Tensor]:
    """The other way round; `expert` is the width of the silent head. Raises `CheckpointError` on unknown names."""
    return _vla.named(tensors, _pi0.LEROBOT_PI05, expert)
