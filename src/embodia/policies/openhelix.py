"""OpenHelix: a multimodal language model's action token steers a diffusion policy; an open fast-slow study.

Title: OpenHelix: A Short Survey, Empirical Analysis, and Open-Source Dual-System VLA Model for Robotic Manipulation
Year: 2025
Source: arXiv 2505.03912
Composition: bb.vlm(LLaVA 7B) + action token -> link.pool -> 3-D diffusion policy(geo.backproject, head.diffusion)
  [train: obj.eps, gradient through the link or cut; prompt tuning]
Published: CALVIN ABC to D 3.45 tasks in a row with 60 steps a task, 4.08 with 360; no parameter count
Ours: not yet measured; command: embodia bench zoo --policy openhelix
Deviations: the lower policy is a denoising transformer over picture tokens, not 3D Diffuser Actor; tiny trains the
  whole upper model, not its prompt; it sees through keypoints and estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from embodia.builders.families import llava_7b
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
from embodia.parts.compose import Composition, Parts, chunked
from embodia.parts.decoders.diffusion import ChunkDiffusion, DiffusionConfig
from embodia.parts.decoders.dit import DitConfig
from embodia.parts.decoders.memory_dit import MemoryDit
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.parts.links.pool import PoolLink


def _published() -> SystemsConfig:
    lower = LowerConfig(vision=ResNetConfig(), width=512, deep=False)
    rates = RatesConfig(every=10, stale=60, execute=6)
    return SystemsConfig(upper=llava_7b(), lower=lower, rates=rates, normalization="min_max")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's as far as it states them.

    tuned  "all" of the upper model, or its "prompt" alone: the learned action token, with everything else frozen
    cut    stop the gradient from the lower system at the link
    """

    chunk: int = 20
    systems: SystemsConfig = field(default_factory=_published)
    tuned: str = "prompt"
    cut: bool = False
    denoiser: DitConfig = field(default_factory=lambda: DitConfig(width=512, depth=8, heads=8))
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)


def preset(size: str) -> Config:
    """tiny 4 M, both systems with keypoints; small 85 M; paper LLaVA 7B, its prompt tuned."""
    if size == "tiny":
        denoiser, diffusion = DitConfig(width=128, depth=2, heads=4), DiffusionConfig(draws=3)
        return Config(chunk=12, systems=tiny_systems("min_max"), tuned="all", denoiser=denoiser, diffusion=diffusion)
    if size == "small":
        return Config(systems=small_systems("min_max"), tuned="all")
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract; the lower system never reads the instruction."""
    seen, dim, systems = contract.observation, contract.action.dim, config.systems
    above, model = upper_model(systems.upper, seen, {"act": 1})
    if config.tuned == "prompt":
        for part in (model, *(encoder for name, encoder in above.items() if name != "act")):
            part.requires_grad_(False)
    link = PoolLink(systems.upper.model.width, systems.lower.width, read=("act",), pool="last", cut=config.cut)
    encoders = lower_encoders(systems.lower, seen)
    state, action = units(contract, systems.normalization, statistics)
    net = MemoryDit(config.denoiser, dim, config.chunk, memory=systems.lower.width)
    parts = Parts(
        encoders=encoders,
        upper=upper_system(systems, above, model, link),
        decoder=ChunkDiffusion(config.diffusion, net, dim, config.chunk),
        foresight=lower_waypoints(systems.lower, seen, encoders, {"latent": 1}),
        state=state,
        action=action,
        weights={"foresight": 0.5},
        inference=systems.rates.inference(),
    )
    return Composition(chunked(contract, config.chunk), parts)
