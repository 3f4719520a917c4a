"""Public checkpoint layouts: what one program calls a weight, and what it is called here, in both directions.

One layout of one policy is one file with `POLICY`, `recognise`, `read` and `write`; the file name is the layout's name.
Nothing in a foreign checkpoint is executed: tensors come from safetensors, facts from JSON, and every tensor must be
accounted for. What the actions of a foreign policy mean is nowhere in its files, so its contract is given by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from torch import Tensor

from embodia.core.errors import CheckpointError, ConfigError
from embodia.core.names import Folder
from embodia.core.provenance import Provenance
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.parts.borrowed import borrowed_weights
from embodia.policies import PolicySpec, make
from embodia.training import checkpoint
from embodia.training.checkpoint import Card
from embodia.training.state import put

FOLDER = Folder(kind="layout", package="embodia.weights")
"""The names of all layouts."""


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """A policy from another program: what it is, its units, and its weights under our names."""

    spec: PolicySpec
    statistics: Mapping[str, FeatureStatistics]
    tensors: Mapping[str, Tensor]


def recognise(folder: Path) -> ModuleType:
    """The layout that a foreign checkpoint is written in. Raises `CheckpointError` when none fits."""
    for name in FOLDER.names():
        layout = FOLDER.load(name)
        if layout.recognise(folder):
            return layout
    raise CheckpointError(
        "no known layout fits this checkpoint", file=folder, cure=f"Known layouts: {', '.join(FOLDER.names())}"
    )


def bring_in(folder: Path, out: Path, contract: Contract, layout: str = "") -> Card:
    """Turn a foreign checkpoint into one of ours in the new folder `out`; `layout` is found by looking when not named.

    Raises `CheckpointError` naming a tensor or fact that does not fit, `ContractError` when the contract has other
    sizes than the policy, `ConfigError` when `out` exists.
    """
    if out.exists():
        raise ConfigError("exists already", file=out, leaf="out", cure="Name a new folder.")
    chosen = FOLDER.load(layout) if layout else recognise(folder)
    foreign: Foreign = chosen.read(folder, contract)
    policy = make(foreign.spec, foreign.statistics)
    weights = {**{name: tensor for name, tensor in policy.state_dict().items() if "_units." in name}, **foreign.tensors}
    put(policy.state_dict(), weights, file=str(folder))
    seen = foreign.spec.contract.observation
    profile = seen.cameras[0].profile if seen.cameras else "faithful"
    card = Card(
        policy=foreign.spec,
        provenance=Provenance(environment="unknown", profile=profile, cameras=seen.camera_names),
        statistics=foreign.statistics,
        borrowed=borrowed_weights(policy),
    )
    facts = {"step": 0, "samples": 0, "seconds": 0.0, "validation_loss": None, "imported_from": chosen.__name__}
    checkpoint.write(out, tensors={"model": policy.state_dict()}, facts=facts, card=card)
    return card


def hand_out(folder: Path, out: Path, layout: str) -> None:
    """Write one of our checkpoints in a public layout into the new folder `out`.

    Raises `ConfigError` when `out` exists, or when the layout is of another policy or cannot say what this one is.
    """
    if out.exists():
        raise ConfigError("exists already", file=out, leaf="out", cure="Name a new folder.")
    chosen = FOLDER.load(layout)
    policy, spec, _ = checkpoint.load_policy(folder)
    if spec.name != chosen.POLICY:
        raise ConfigError(f"layout {layout!r} is of {chosen.POLICY!r}, the checkpoint of {spec.name!r}", leaf="layout")
    statistics = checkpoint.read_card(folder).statistics
    if statistics is None:
        raise CheckpointError("the checkpoint does not say its units", file=folder, leaf="statistics")
    chosen.write(Foreign(spec=spec, statistics=statistics, tensors=policy.state_dict()), out)
