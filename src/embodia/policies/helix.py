"""Helix: a slow vision-language model hands one vector to a fast visuomotor transformer; both learn from one loss.

Title: Helix: A Vision-Language-Action Model for Generalist Humanoid Control
Year: 2025
Source: Figure AI, technical report
Composition: bb.vlm(7B, 7-9 Hz) -> link.pool -> bb.encdec(80M) with vis.* + prop.linear -> head.regress(35 DoF, 200 Hz)
  [train: obj.reg, gradient through the link, messages as stale as in use] [run: run.async]
Published: 7 B and 80 M parameters; no exact count, weights are closed
Ours: not yet measured; command: embodia bench zoo --policy helix
Deviations: the 7 B model is unnamed, a Llama-2-7B-sized one with a SigLIP tower stands for it; sizes of the 80 M system
  are ours; tiny sees through keypoints, and its fast system estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.detr import LayerSizes
from embodia.nn.normalize import Mode, Normalizer
from embodia.nn.transformer import TransformerConfig
from embodia.parts.backbones.encoder import TransformerEncoder
from embodia.parts.compose import Composition, Parts, chunked
from embodia.parts.decoders.regression import ChunkRegression, RegressionConfig
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.parts.encoders.siglip import SiglipConfig
from embodia.parts.links.pool import PoolLink
from embodia.parts.two_systems import (
    LowerConfig,
    RatesConfig,
    lower_encoders,
    lower_waypoints,
    tiny_lower,
    tiny_upper,
    upper_model,
)
from embodia.parts.upper import Upper
from embodia.parts.vlm import TextConfig, VlmConfig, small_vlm

SEVEN_B = TransformerConfig(
    width=4096, depth=32, heads=32, kv_heads=32, head_dim=128, mlp_width=11008, activation="silu", norm="llama"
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are those of the report as far as it states them."""

    chunk: int = 16
    upper: VlmConfig = field(
        default_factory=lambda: VlmConfig(
            vision=SiglipConfig(), text=TextConfig(kind="pieces", vocabulary=32064), model=SEVEN_B, causal=True
        )
    )
    lower: LowerConfig = field(default_factory=lambda: LowerConfig(vision=ResNetConfig(), width=512, deep=False))
    layers: LayerSizes = field(default_factory=lambda: LayerSizes(hidden=3072, dropout=0.0, pre_norm=True))
    encoder_layers: int = 8
    head: RegressionConfig = field(default_factory=lambda: RegressionConfig(layers=6))
    rates: RatesConfig = field(default_factory=lambda: RatesConfig(every=25, stale=25, execute=1))
    normalization: Mode = "mean_std"


def preset(size: str) -> Config:
    """tiny 4 M, both systems with keypoints; small 70 M; paper 7 B and 80 M."""
    if size == "tiny":
        return Config(
            chunk=12,
            upper=tiny_upper(),
            lower=tiny_lower(),
            layers=LayerSizes(width=128, heads=4, hidden=384, dropout=0.0, pre_norm=True),
            encoder_layers=2,
            head=RegressionConfig(layers=2),
            rates=RatesConfig(),
        )
    if size == "small":
        lower = LowerConfig(vision=ResNetConfig(norm="group", width=32), width=256)
        layers = LayerSizes(width=256, heads=8, hidden=1024, dropout=0.0, pre_norm=True)
        return Config(upper=small_vlm(), lower=lower, layers=layers, encoder_layers=4, head=RegressionConfig(layers=4))
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract; the fast system never reads the instruction."""
    seen, actions, known = contract.observation, contract.action, statistics or {}
    above, model = upper_model(config.upper, seen, {"say": 1})
    link = PoolLink(config.upper.model.width, config.lower.width, read=("say",), pool="last")
    encoders = lower_encoders(config.lower, seen)
    parts = Parts(
        encoders=encoders,
        upper=Upper(above, link, backbone=model, every=config.rates.every, stale=config.rates.stale),
        backbone=TransformerEncoder(config.layers, config.encoder_layers),
        decoder=ChunkRegression(config.layers, config.head, actions.dim, config.chunk),
        foresight=lower_waypoints(config.lower, seen, encoders, {"latent": 1}),
        state=Normalizer(seen.state_dim, config.normalization, known.get("state")),
        action=Normalizer(actions.dim, config.normalization, known.get(actions.statistics_key)),
        weights={"foresight": 0.5},
        inference=config.rates.inference(),
    )
    return Composition(chunked(contract, config.chunk), parts)
