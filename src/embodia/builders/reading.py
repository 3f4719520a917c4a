"""Policies that read their actions off a language model in one pass: placeholders in, hidden states out, a small head.

What OpenVLA-OFT, BitVLA and RoboMamba have in common; their files say what is their own. The one thing to watch: a
causal engine without attention (Mamba) fills placeholders from left to right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import nn

from embodia.builders.vlm import VlmConfig, vision_language
from embodia.core.errors import ConfigError
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.bitlinear import ternarise
from embodia.nn.normalize import Mode, Normalizer
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.diffusion import ChunkDiffusion, DiffusionConfig
from embodia.parts.decoders.filled import FilledPlaces, TimePlace
from embodia.parts.decoders.readout import ReadoutConfig, StepReadout
from embodia.parts.encoders.queries import LearnedTokens
from embodia.parts.encoders.waypoints import Waypoints


@dataclass(frozen=True, kw_only=True)
class ReaderConfig:
    """A policy that reads actions off placeholders.

    places    placeholders a step: "dims" one for each dimension of the action, "one" one, "last" a single one for all
    bits      32, or 1.58: every linear layer of the model and its towers has ternary weights
    spelled   placeholders are silent, between these two pieces that open and close an action, and are part of the
              prefix (OpenVLA-OFT); otherwise they are learned and the prefix does not see them
    frozen    the model and its eyes do not learn, only the head, the placeholders and the state do
    noise     the chunk is not read off but freed of noise in its placeholders, step by step (the diffusion head of OFT)
    ahead     steps at which a small head estimates states to come; needs one sentence vector
    """

    chunk: int = 12
    vlm: VlmConfig = field(default_factory=VlmConfig)
    places: Literal["dims", "one", "last"] = "dims"
    readout: ReadoutConfig = field(default_factory=ReadoutConfig)
    bits: float = 32.0
    spelled: tuple[int, int] | None = None
    frozen: bool = False
    noise: DiffusionConfig | None = None
    ahead: tuple[int, ...] = ()
    ahead_weight: float = 0.5
    normalization: Mode = "quantile"
    inference: Inference = field(default_factory=Inference)


def reader(
    contract: Contract, config: ReaderConfig, statistics: Mapping[str, FeatureStatistics] | None = None
) -> Composition:
    """The policy with random weights for a body's contract."""
    seen, actions, known = contract.observation, contract.action, statistics or {}
    width = config.vlm.model.width
    count = {"dims": config.chunk * actions.dim, "one": config.chunk, "last": 1}[config.places]
    encoders, backbone = vision_language(
        config.vlm,
        seen,
        extra=None if config.spelled else {"readout": LearnedTokens("readout", count, width)},
        beside={"time": TimePlace(width)} if config.noise else None,
        spelled=_placeholders(config.spelled, count),
        ahead=bool(config.ahead),
    )
    parts = Parts(
        encoders=encoders,
        backbone=None if config.noise else backbone,
        decoder=_decoder(config, backbone, actions.dim, count),
        foresight=_estimate(config, seen.state_dim, encoders, width),
        state=Normalizer(seen.state_dim, config.normalization, known.get("state")),
        action=Normalizer(actions.dim, config.normalization, known.get(actions.statistics_key)),
        weights={"foresight": config.ahead_weight},
        inference=config.inference,
    )
    if config.bits < 2:
        ternarise(backbone.engine)
        ternarise(getattr(encoders["image"], "trunks", nn.ModuleList()))
    if config.frozen:
        backbone.requires_grad_(False)
        encoders["image"].requires_grad_(False)
    return Composition(chunked(contract, config.chunk), parts)


def _decoder(config: ReaderConfig, backbone: nn.Module, dim: int, count: int) -> nn.Module:
    width, chunk = config.vlm.model.width, config.chunk
    if config.noise is None:
        together = config.places == "last"
        return StepReadout(config.readout, width, dim, chunk, read="readout", tokens=count, together=together)
    if config.places != "dims":
        raise ConfigError("noise is removed from a placeholder for every number", leaf="places")
    return ChunkDiffusion(config.noise, FilledPlaces(backbone, config.readout, width, dim), dim, chunk)


def _placeholders(around: tuple[int, int] | None, count: int) -> dict[str, tuple[int, ...]]:
    """What is read begins with the opening piece: a hidden state tells of the place behind it, as in OpenVLA."""
    if around is None:
        return {}
    return {"readout": (around[0], *[-1] * (count - 1)), "closing": (-1, around[1])}


def _estimate(config: ReaderConfig, state_dim: int, encoders: Mapping[str, nn.Module], width: int) -> Waypoints | None:
    if not config.ahead:
        return None
    tokens = int(encoders["image"].tokens) + sum(name in encoders for name in ("state", "language"))  # type: ignore[arg-type]
    return Waypoints(width, state_dim, config.ahead, tokens)
