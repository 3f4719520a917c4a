"""Policies: one paper, one file of wiring; the file name is the name.

Each module has a `Config`, a `preset(size)` and a `build(contract, config, statistics)`. Nothing here lists them: add a
file and it exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from embodia.core.config import from_json
from embodia.core.errors import ConfigError
from embodia.core.names import Folder, unknown
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.parts.compose import Composition

FOLDER = Folder(kind="policy", package="embodia.policies")
"""The names of all policies."""

SIZES = ("tiny", "small", "paper")
"""tiny trains on two cores in minutes, small on one accelerator, paper is the published size."""


@dataclass(frozen=True, kw_only=True)
class PolicySpec:
    """All that is needed to build a policy anew; `config` is the module's own `Config`, or None for the preset."""

    name: str
    size: str
    contract: Contract
    config: Any = None


def complete(spec: PolicySpec) -> PolicySpec:
    """The spec with its configuration filled in. Raises `UnknownNameError` for a name or size that does not exist."""
    module = FOLDER.load(spec.name)
    if spec.size not in SIZES:
        raise unknown("size", spec.size, SIZES)
    if spec.config is None:
        return replace(spec, config=module.preset(spec.size))
    if not isinstance(spec.config, module.Config):
        raise ConfigError(f"policy {spec.name!r} takes its own Config, not {type(spec.config).__name__}", leaf="config")
    return spec


def make(
    spec: PolicySpec, statistics: Mapping[str, FeatureStatistics] | None = None, seed: int | None = None
) -> Composition:
    """The policy with random weights, from `seed` when given; nothing is downloaded.

    `statistics` has "state" and the action spec's statistics key; None leaves units as they are (or to a checkpoint).
    """
    spec = complete(spec)
    module = FOLDER.load(spec.name)
    if seed is None:
        return module.build(spec.contract, spec.config, statistics)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return module.build(spec.contract, spec.config, statistics)


def read_spec(value: Any, *, file: str | None = None) -> PolicySpec:
    """A spec from parsed JSON, the inverse of `core.config.to_json`. Raises `ConfigError`, `UnknownNameError`."""
    spec = from_json(PolicySpec, value, file=file)
    if spec.config is None:
        return complete(spec)
    kind = FOLDER.load(spec.name).Config
    return complete(replace(spec, config=from_json(kind, spec.config, file=file, leaf="config")))
