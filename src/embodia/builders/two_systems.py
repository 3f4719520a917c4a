"""Two systems at two rates, ready to be joined: a slow vision-language model above, quick eyes and a state below.

What every fast-slow design shares is here; what is its own - the link, the lower backbone, the head - stays in its
file. The one thing to watch: in use a message is up to `every` decisions old, and `stale` says how old in training; the
two belong together (`stale` about `every` times the steps carried out between two decisions).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from embodia.builders.vlm import VlmConfig, small_vlm, vision_language
from embodia.core.specs import Contract, ObservationSpec
from embodia.core.statistics import FeatureStatistics
from embodia.nn.detr import LayerSizes
from embodia.nn.normalize import Mode, Normalizer
from embodia.nn.transformer import TransformerConfig
from embodia.parts.acting import Inference
from embodia.parts.backbones.encoder import TransformerEncoder
from embodia.parts.backbones.language_model import LanguageModel
from embodia.parts.decoders.regression import ChunkRegression, RegressionConfig
from embodia.parts.encoders.eyes import EyesConfig, eyes
from embodia.parts.encoders.keypoint_stem import QUICK_EYES, KeypointStemConfig
from embodia.parts.encoders.language import LanguageToken
from embodia.parts.encoders.queries import LearnedTokens
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.parts.encoders.state import StateToken
from embodia.parts.encoders.waypoints import END, Waypoints
from embodia.parts.upper import Upper


@dataclass(frozen=True, kw_only=True)
class RatesConfig:
    """Two rates: `every` decisions below for one message from above; messages are up to `stale` steps old in training.

    `execute` actions are carried out between two decisions; None is the whole chunk.
    """

    every: int = 2
    stale: int = 4
    execute: int | None = 4

    def inference(self, steps: int | None = None) -> Inference:
        """How the lower system acts, with `steps` of its sampler."""
        return Inference(execute=self.execute, steps=steps)


@dataclass(frozen=True, kw_only=True)
class LowerConfig:
    """Eyes and state of the lower system, in tokens of `width`.

    hears  the lower system reads the instruction too
    ahead  steps at which it estimates the state to come, from its own senses and what the message brought
    """

    vision: EyesConfig = field(default_factory=KeypointStemConfig)
    width: int = 128
    hears: bool = False
    deep: bool = True
    ahead: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SystemsConfig:
    """Both systems, their rates, and how state and action are normalised."""

    upper: VlmConfig
    lower: LowerConfig
    rates: RatesConfig = field(default_factory=RatesConfig)
    normalization: Mode = "mean_std"


@dataclass(frozen=True, kw_only=True)
class MotorConfig:
    """The quick transformer of an encoder-decoder below: `encoder` layers over senses and message, a query a step."""

    layers: LayerSizes = field(default_factory=lambda: LayerSizes(hidden=2048, dropout=0.0, pre_norm=True))
    encoder: int = 4
    head: RegressionConfig = field(default_factory=lambda: RegressionConfig(layers=4))

    def build(self, dim: int, chunk: int) -> tuple[TransformerEncoder, ChunkRegression]:
        """Backbone and head for chunks (H A)."""
        return TransformerEncoder(self.layers, self.encoder), ChunkRegression(self.layers, self.head, dim, chunk)


def tiny_motor(encoder: int = 2) -> MotorConfig:
    """Of width 128, two layers that decode."""
    layers = LayerSizes(width=128, heads=4, hidden=384, dropout=0.0, pre_norm=True)
    return MotorConfig(layers=layers, encoder=encoder, head=RegressionConfig(layers=2))


def small_motor() -> MotorConfig:
    """Of width 256, four layers on either side."""
    return MotorConfig(layers=LayerSizes(width=256, heads=8, hidden=1024, dropout=0.0, pre_norm=True))


def tiny_systems(normalization: Mode = "mean_std", *, hears: bool = False) -> SystemsConfig:
    """About 3 M parameters in two systems that learn on Desk."""
    model = TransformerConfig(width=128, depth=3, heads=4, kv_heads=4, head_dim=32, mlp_width=384)
    return SystemsConfig(
        upper=VlmConfig(model=model, state="none"),
        lower=LowerConfig(vision=QUICK_EYES, ahead=(12, 24, 48, END), hears=hears),
        normalization=normalization,
    )


def small_systems(normalization: Mode = "mean_std", *, hears: bool = False) -> SystemsConfig:
    """About 55 M parameters: a small vision-language model above a group-norm ResNet of half width."""
    lower = LowerConfig(vision=ResNetConfig(norm="group", width=32), width=256, hears=hears)
    return SystemsConfig(upper=small_vlm(), lower=lower, normalization=normalization)


def visuomotor(size: str) -> dict[str, Any]:
    """Chunk, systems and motor of a design with a quick encoder-decoder below, at "tiny" or "small"; else nothing."""
    if size == "tiny":
        return {"chunk": 12, "systems": tiny_systems(), "motor": tiny_motor()}
    return {"systems": small_systems(), "motor": small_motor()} if size == "small" else {}


def units(
    contract: Contract, mode: Mode, statistics: Mapping[str, FeatureStatistics] | None
) -> tuple[Normalizer, Normalizer]:
    """Normalisers of state and action."""
    seen, actions, known = contract.observation, contract.action, statistics or {}
    state = Normalizer(seen.state_dim, mode, known.get("state"))
    return state, Normalizer(actions.dim, mode, known.get(actions.statistics_key))


def upper_system(
    config: SystemsConfig, encoders: Mapping[str, nn.Module], model: nn.Module, link: nn.Module, **more: Any
) -> Upper:
    """The slow system behind its link, at its rate; `more` is what else `Upper` takes."""
    return Upper(encoders, link, backbone=model, every=config.rates.every, stale=config.rates.stale, **more)


def upper_model(
    config: VlmConfig, spec: ObservationSpec, readouts: Mapping[str, int]
) -> tuple[dict[str, nn.Module], LanguageModel]:
    """The vision-language model with learned `readouts` (group name -> number of tokens) behind what it read."""
    extra = {name: LearnedTokens(name, count, config.model.width) for name, count in readouts.items()}
    return vision_language(config, spec, extra=extra)


def lower_encoders(config: LowerConfig, spec: ObservationSpec) -> dict[str, nn.Module]:
    """The lower system's senses; without `hears` not even its eyes know the instruction."""
    seen = spec if config.hears else replace(spec, language=False)
    encoders: dict[str, nn.Module] = {"image": eyes(config.vision, seen, config.width)}
    if spec.state_dim:
        encoders["state"] = StateToken(spec.state_dim, config.width, deep=config.deep)
    if seen.language:
        encoders["language"] = LanguageToken(config.width, deep=config.deep)
    return encoders


def lower_waypoints(
    config: LowerConfig, spec: ObservationSpec, encoders: Mapping[str, nn.Module], told: Mapping[str, int]
) -> Waypoints | None:
    """The estimate of states to come from the lower senses and the groups a message brings (`told`: name -> tokens)."""
    if not config.ahead:
        return None
    count = int(encoders["image"].tokens) + len(encoders) - 1 + sum(told.values())  # type: ignore[arg-type]
    return Waypoints(config.width, spec.state_dim, config.ahead, count, (*encoders, *told))
