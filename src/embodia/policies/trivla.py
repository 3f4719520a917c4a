"""TriVLA: meaning from one system, dynamics from a second, actions from a third that attends to both.

Title: TriVLA: A Triple-System-Based Unified Vision-Language-Action Model for General Robot Control
Year: 2025
Source: arXiv 2507.01424
Composition: bb.vlm(eagle2, layer 12) via link.xattn + vis.video_feat(video model) via link.feature_s3 -> bb.dit ->
  head.flow [train: obj.fm + obj.frame] [run: about 36 Hz]
Published: about 36 Hz; LIBERO 87 % in a survey, unconfirmed; no parameter count
Ours: not yet measured; command: embodia bench zoo --policy trivla
Deviations: the third system is query tokens that forecast later pictures, not a video diffusion model; the last layer
  of the language model is read; tiny sees through keypoints and estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from embodia.builders.families import eagle2_2b
from embodia.builders.two_systems import (
    LowerConfig,
    RatesConfig,
    SystemsConfig,
    lower_encoders,
    lower_waypoints,
    small_systems,
    tiny_systems,
    units,
    upper_model,
    upper_system,
)
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.detr import LayerSizes
from embodia.parts.compose import Composition, Parts, chunked
from embodia.parts.decoders.dit import DitConfig
from embodia.parts.decoders.flow import FlowConfig, FlowDecoder
from embodia.parts.decoders.memory_dit import MemoryDit
from embodia.parts.encoders.dynamics import DynamicsTokens
from embodia.parts.encoders.eyes import eyes
from embodia.parts.encoders.keypoint_stem import QUICK_EYES
from embodia.parts.encoders.language import LanguageToken
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.parts.heads.forecast import Forecast, ForecastConfig
from embodia.parts.links.joined import JoinedLinks
from embodia.parts.links.tokens import TokenLink


def _published() -> SystemsConfig:
    lower = LowerConfig(vision=ResNetConfig(), width=1024, deep=False)
    return SystemsConfig(upper=eagle2_2b(), lower=lower, rates=RatesConfig(every=1, stale=0, execute=8))


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; `third` are the layers of the dynamics system, which has an eye like the lower system's."""

    chunk: int = 16
    systems: SystemsConfig = field(default_factory=_published)
    plan: int = 16
    third: LayerSizes = field(default_factory=lambda: LayerSizes(width=1024, heads=16, hidden=4096, dropout=0.0))
    third_layers: int = 12
    dynamics: int = 16
    later: tuple[int, ...] = (8, 16)
    foresee: ForecastConfig = field(default_factory=lambda: ForecastConfig(pixels=224, width=512, heads=8, hidden=2048))
    denoiser: DitConfig = field(default_factory=lambda: DitConfig(width=1024, depth=16, heads=16, time_scale=1000.0))
    flow: FlowConfig = field(default_factory=FlowConfig)


def preset(size: str) -> Config:
    """tiny 5 M, all with keypoints; small 90 M; paper 2 B with a third system of our own size."""
    if size == "tiny":
        systems = tiny_systems()
        upper = replace(systems.upper, vision=QUICK_EYES)
        lower = replace(systems.lower, vision=QUICK_EYES)
        return Config(
            chunk=12,
            systems=replace(systems, upper=upper, lower=lower),
            plan=4,
            third=LayerSizes(width=128, heads=4, hidden=256, dropout=0.0, pre_norm=True),
            third_layers=1,
            dynamics=4,
            later=(12,),
            foresee=ForecastConfig(width=96, hidden=192),
            denoiser=DitConfig(width=128, depth=2, heads=4, time_scale=1000.0),
            flow=FlowConfig(draws=3),
        )
    if size == "small":
        third = LayerSizes(width=256, heads=8, hidden=1024, dropout=0.0, pre_norm=True)
        denoiser = DitConfig(width=512, depth=6, heads=8, time_scale=1000.0)
        foresee = ForecastConfig(pixels=128)
        return Config(systems=small_systems(), third=third, third_layers=4, foresee=foresee, denoiser=denoiser)
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    seen, dim, systems = contract.observation, contract.action.dim, config.systems
    above, model = upper_model(systems.upper, seen, {"plan": config.plan})
    wide, width, third = systems.upper.model.width, systems.lower.width, config.third.width
    hearing = LanguageToken(third, position=False) if seen.language else None
    eye = eyes(systems.lower.vision, seen, third)
    above["dynamics"] = DynamicsTokens(eye, hearing, config.third, config.third_layers, config.dynamics)
    link = JoinedLinks(
        TokenLink(wide, width, read=("plan",), name="plan", count=config.plan),
        TokenLink(third, width, read=("dynamics",), name="dynamics", count=config.dynamics),
    )
    encoders = lower_encoders(systems.lower, seen)
    foreseen = Forecast(config.foresee, seen, width, name="dynamics", read="dynamics", steps=len(config.later))
    state, action = units(contract, systems.normalization, statistics)
    net = MemoryDit(config.denoiser, dim, config.chunk, memory=width)
    parts = Parts(
        encoders=encoders,
        upper=upper_system(systems, above, model, link),
        decoder=FlowDecoder(net, config.flow, dim, config.chunk),
        foresight=lower_waypoints(systems.lower, seen, encoders, {"plan": config.plan, "dynamics": config.dynamics}),
        heads={"dynamics": foreseen},
        later=config.later,
        state=state,
        action=action,
        weights={"foresight": 0.5, "dynamics": 0.1},
        inference=systems.rates.inference(),
    )
    return Composition(chunked(contract, config.chunk), parts)
