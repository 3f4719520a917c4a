"""pi0 as openpi's converter to PyTorch writes it."""

from __future__ import annotations

from pathlib import Path

from embodia.core.errors import ConfigError
from embodia.core.specs import Contract
from embodia.policies import PolicySpec
from embodia.policies.pi0 import Config
from embodia.weights import Foreign, _folders, _openpi, _pi0

POLICY = "pi0"


def recognise(folder: Path) -> bool:
    """Whether `folder` holds openpi's pi0."""
    return _openpi.is_of(folder, "action_time_mlp_in.weight")


def read(folder: Path, contract: Contract) -> Foreign:
    """The policy in `folder`. Raises `CheckpointError`, `ContractError`."""
    fields = _folders.Fields(folder / _folders.CONFIG)
    theirs = _folders.read_weights(folder)
    tensors = _pi0.read(theirs, _pi0.OPENPI)
    config = Config(
        chunk=fields.get("action_horizon"),
        vision=_openpi.eye(theirs, folder),
        tokenizer_file=_openpi.pieces(folder),
        vocabulary=len(tensors["encoders.language.embed.weight"]),
        prefix=_openpi.size(fields, "paligemma_variant"),
        expert=_openpi.size(fields, "action_expert_variant"),
        padded=fields.get("action_dim"),
    )
    return Foreign(
        spec=PolicySpec(name=POLICY, size="paper", contract=contract, config=config),
        statistics=_openpi.statistics(folder, contract),
        tensors=tensors,
    )


def write(foreign: Foreign, out: Path) -> None:
    """Write the policy for openpi. Raises `ConfigError` where openpi's pi0 has no such thing."""
    config = foreign.spec.config
    _openpi.check_eye(config.vision)
    if config.language != "pieces" or config.camera_embedding or config.deep or not config.padded:
        raise ConfigError("openpi's pi0 has words, padded actions and plain tokens: the paper's size", leaf="config")
    if config.normalization != "mean_std":
        raise ConfigError("openpi's pi0 divides by deviations", leaf="normalization")
    _openpi.write(
        out,
        facts={"action_dim": config.padded, "action_horizon": config.chunk},
        tensors=foreign.tensors,
        layout=_pi0.OPENPI,
        sizes=(config.prefix, config.expert),
        contract=foreign.spec.contract,
        known=foreign.statistics,
    )
