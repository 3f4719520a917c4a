"""Helix: a slow vision-language model hands one vector to a fast visuomotor transformer; one loss teaches both.

Title: Helix: A Vision-Language-Action Model for Generalist Humanoid Control
Year: 2025
Source: Figure AI, technical report
Composition: bb.vlm(7B, 7-9 Hz) -> link.pool -> bb.encdec(80M) with vis.* + prop.linear -> head.regress(35 DoF, 200 Hz)
  [train: obj.reg, gradient through the link, messages as stale as in use] [run: run.async]
Published: 7 B and 80 M parameters, rounded; weights are closed
Ours: 42 % (35-48, n 200) on Desk, tiny: results/zoo/helix.json; command: embodia bench zoo --policy helix
Deviations: the 7 B model is unnamed, LLaVA 1.5 stands for it; the layers of the 80 M system are ours; tiny sees through
  keypoints, and its fast system estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from embodia.builders.families import llava_7b
from embodia.builders.two_systems import (
    LowerConfig,
    MotorConfig,
    RatesConfig,
    SystemsConfig,
    lower_encoders,
    lower_waypoints,
    units,
    upper_model,
    upper_system,
    visuomotor,
)
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.detr import LayerSizes
from embodia.parts.compose import Composition, Parts, chunked
from embodia.parts.decoders.regression import RegressionConfig
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.parts.links.pool import PoolLink

MOTOR = MotorConfig(
    layers=LayerSizes(hidden=3072, dropout=0.0, pre_norm=True), encoder=8, head=RegressionConfig(layers=6)
)


def _published() -> SystemsConfig:
    lower = LowerConfig(vision=ResNetConfig(), width=512, deep=False)
    return SystemsConfig(upper=llava_7b(), lower=lower, rates=RatesConfig(every=25, stale=25, execute=1))


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are those of the report as far as it states them."""

    chunk: int = 16
    systems: SystemsConfig = field(default_factory=_published)
    motor: MotorConfig = MOTOR


def preset(size: str) -> Config:
    """tiny 4 M, both systems with keypoints; small 63 M; paper 7 B and 77 M."""
    return Config(**visuomotor(size))


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract; the fast system never reads the instruction."""
    seen, systems = contract.observation, config.systems
    above, model = upper_model(systems.upper, seen, {"say": 1})
    encoders = lower_encoders(systems.lower, seen)
    link = PoolLink(systems.upper.model.width, systems.lower.width, read=("say",), pool="last")
    state, action = units(contract, systems.normalization, statistics)
    upper = upper_system(systems, above, model, link)
    backbone, decoder = config.motor.build(contract.action.dim, config.chunk)
    parts = Parts(
        encoders=encoders,
        upper=upper,
        backbone=backbone,
        decoder=decoder,
        foresight=lower_waypoints(systems.lower, seen, encoders, {"latent": 1}),
        state=state,
        action=action,
        weights={"foresight": 0.5},
        inference=systems.rates.inference(),
    )
    return Composition(chunked(contract, config.chunk), parts)
