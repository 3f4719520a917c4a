"""pi0.5 as openpi's converter to PyTorch writes it: the part that acts, which says no sub-task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from embodia.core.errors import ConfigError
from embodia.core.specs import Contract
from embodia.policies import PolicySpec
from embodia.policies.pi05 import ADAPTIVE, PAPER, PROMPT, Config
from embodia.weights import Foreign, _folders, _openpi, _pi0

POLICY = "pi05"


def recognise(folder: Path) -> bool:
    """Whether `folder` holds openpi's pi0.5."""
    return _openpi.is_of(folder, "time_mlp_in.weight")


def read(folder: Path, contract: Contract) -> Foreign:
    """The policy in `folder`. Raises `CheckpointError`, `ContractError`."""
    fields = _folders.Fields(folder / _folders.CONFIG)
    theirs = _folders.read_weights(folder)
    tensors = _pi0.read(theirs, _pi0.OPENPI_PI05)
    words = len(tensors["backbone.vocabulary.table.weight"])
    text = replace(PROMPT, vocabulary=words, file=_openpi.pieces(folder), openpi=True)
    reader = _openpi.size(fields, "paligemma_variant")
    model = replace(
        PAPER,
        vlm=replace(PAPER.vlm, vision=_openpi.eye(theirs, folder), model=reader, text=text),
        expert=_openpi.size(fields, "action_expert_variant"),
        padded=fields.get("action_dim"),
        thought=None,
    )
    config = Config(chunk=fields.get("action_horizon"), model=model)
    return Foreign(
        spec=PolicySpec(name=POLICY, size="paper", contract=contract, config=config),
        statistics=_openpi.statistics(folder, contract),
        tensors=tensors,
    )


def write(foreign: Foreign, out: Path) -> None:
    """Write the policy for openpi. Raises `ConfigError` where openpi's pi0.5 has no such thing."""
    config, model = foreign.spec.config, foreign.spec.config.model
    _openpi.check_eye(model.vlm.vision)
    if model.thought is not None or model.knowledge is not None:
        raise ConfigError("openpi's pi0.5 says neither sub-tasks nor actions", leaf="model.thought")
    text = model.vlm.text
    prompt = replace(PROMPT, vocabulary=text.vocabulary, length=text.length, file=text.file, openpi=True)
    if text != prompt or model.state != "text" or model.kind != ADAPTIVE or not model.padded:
        raise ConfigError("openpi's pi0.5 reads its state in its prompt and pads actions", leaf="model")
    if model.normalization != "quantile":
        raise ConfigError("openpi's pi0.5 lies between quantiles", leaf="normalization")
    _openpi.write(
        out,
        facts={"action_dim": model.padded, "action_horizon": config.chunk},
        tensors=foreign.tensors,
        layout=_pi0.OPENPI_PI05,
        sizes=(model.vlm.model, model.expert),
        contract=foreign.spec.contract,
        known=foreign.statistics,
    )
