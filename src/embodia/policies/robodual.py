"""RoboDual: a generalist's coarse actions and features condition a small specialist that denoises.

Title: Towards Synergistic, Generalized, and Efficient Dual-System for Robotic Manipulation
Year: 2024
Source: arXiv 2410.08001; specialist as in the public code
Composition: bb.vlm(OpenVLA 7B) -> head.regress -> link.traj + link.plan_tokens -> bb.dit(20M specialist) ->
  head.diffusion [train: obj.reg above, obj.eps below] [run: run.async]
Published: 20 M trainable parameters of the specialist, rounded; 26.7 % over OpenVLA on real tasks; CALVIN 3.66
Ours: 33 % (27-40, n 200) on Desk, tiny: results/zoo/robodual.json; command: embodia bench zoo --policy robodual
Deviations: the generalist's actions are regressed, where OpenVLA speaks discrete ones; the specialist sees RGB alone,
  through a ResNet that learns, in the public code a frozen DINO ViT-S; tiny sees through keypoints and estimates states
  to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from embodia.builders.families import prismatic_llama2_7b
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
from embodia.nn.shared import Shared
from embodia.parts.compose import Composition, Parts, chunked
from embodia.parts.decoders.diffusion import ChunkDiffusion, DiffusionConfig
from embodia.parts.decoders.dit import DitConfig
from embodia.parts.decoders.memory_dit import MemoryDit
from embodia.parts.decoders.pooled import PooledConfig, PooledRegression
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.parts.links.joined import JoinedLinks
from embodia.parts.links.tokens import TokenLink
from embodia.parts.links.traj import TrajectoryLink


def _published() -> SystemsConfig:
    lower = LowerConfig(vision=ResNetConfig(), width=256, deep=False)
    rates = RatesConfig(every=2, stale=8, execute=8)
    return SystemsConfig(upper=prismatic_llama2_7b(), lower=lower, rates=rates, normalization="min_max")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's as far as it states them. `plan` tokens are handed down."""

    chunk: int = 8
    systems: SystemsConfig = field(default_factory=_published)
    plan: int = 8
    generalist: PooledConfig = field(default_factory=lambda: PooledConfig(pool="mean"))
    denoiser: DitConfig = field(default_factory=lambda: DitConfig(width=256, depth=6, heads=8))
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)


def preset(size: str) -> Config:
    """tiny 4 M, both systems with keypoints; small 63 M; paper OpenVLA and a specialist of 20 M."""
    if size == "tiny":
        denoiser, diffusion = DitConfig(width=128, depth=2, heads=4), DiffusionConfig(draws=3)
        head = PooledConfig(pool="mean", hidden=(256,))
        systems = tiny_systems("min_max")
        return Config(chunk=12, systems=systems, plan=4, generalist=head, denoiser=denoiser, diffusion=diffusion)
    if size == "small":
        return Config(systems=small_systems("min_max"), denoiser=DitConfig(width=256, depth=8, heads=8))
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract; the specialist's gradient reaches the plan tokens only."""
    seen, dim, systems = contract.observation, contract.action.dim, config.systems
    above, model = upper_model(systems.upper, seen, {"plan": config.plan})
    wide, width = systems.upper.model.width, systems.lower.width
    generalist = PooledRegression(config.generalist, wide, dim, config.chunk, read=("plan",), tokens=config.plan)
    link = JoinedLinks(
        TrajectoryLink(Shared(generalist), config.chunk, dim, width),
        TokenLink(wide, width, read=("plan",), name="plan", count=config.plan),
    )
    encoders = lower_encoders(systems.lower, seen)
    state, action = units(contract, systems.normalization, statistics)
    net = MemoryDit(config.denoiser, dim, config.chunk, memory=width)
    parts = Parts(
        encoders=encoders,
        upper=upper_system(systems, above, model, link, decoder=generalist),
        decoder=ChunkDiffusion(config.diffusion, net, dim, config.chunk),
        foresight=lower_waypoints(systems.lower, seen, encoders, {"plan": config.plan}),
        state=state,
        action=action,
        weights={"foresight": 0.5},
        inference=systems.rates.inference(),
    )
    return Composition(chunked(contract, config.chunk), parts)
