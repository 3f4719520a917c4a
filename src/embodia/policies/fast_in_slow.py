"""Fast-in-Slow: the fast system is the last blocks of the slow one, run more often on fresher senses.

Title: Fast-in-Slow: A Dual-System Foundation Model Unifying Fast Manipulation within Slow Reasoning
Year: 2025
Source: arXiv 2506.01953
Composition: bb.vlm(7B) -> link.shared(last blocks) + link.plan_tokens, with image + prop.linear -> head.diffusion,
  asynchronous 1:4 [train: obj.eps + obj.ntp, gradient through link and blocks]
Published: 117.7 Hz with chunks of 8; 7 B parameters, rounded
Ours: 44 % (37-51, n 200) on Desk, tiny: results/zoo/fast_in_slow.json; command: embodia bench zoo --policy fast_in_slow
Deviations: the fast system reads no point cloud; the slow one says nothing in words; tiny sees through keypoints and
  estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

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
from embodia.core.errors import ConfigError
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.shared import Shared
from embodia.nn.transformer import Transformer, TransformerConfig
from embodia.parts.compose import Composition, Parts, chunked
from embodia.parts.decoders.diffusion import ChunkDiffusion, DiffusionConfig
from embodia.parts.decoders.dit import DitConfig
from embodia.parts.decoders.memory_dit import MemoryDit
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.parts.links.shared import SharedBlocks
from embodia.parts.links.tokens import TokenLink


def _published() -> SystemsConfig:
    llama = TransformerConfig(
        width=4096, depth=32, heads=32, kv_heads=32, head_dim=128, mlp_width=11008, activation="silu", norm="llama"
    )
    lower = LowerConfig(vision=ResNetConfig(), width=4096, deep=False)
    rates = RatesConfig(every=4, stale=8, execute=2)
    upper = replace(prismatic_llama2_7b(), model=llama)
    return SystemsConfig(upper=upper, lower=lower, rates=rates, normalization="min_max")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's. `blocks` are shared, `plan` tokens handed down."""

    chunk: int = 8
    systems: SystemsConfig = field(default_factory=_published)
    blocks: int = 8
    plan: int = 8
    denoiser: DitConfig = field(default_factory=lambda: DitConfig(width=512, depth=4, heads=8))
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)


def preset(size: str) -> Config:
    """tiny 4 M, both systems with keypoints; small 70 M; paper 7 B."""
    if size == "tiny":
        denoiser, diffusion = DitConfig(width=128, depth=2, heads=4), DiffusionConfig(draws=3)
        return Config(
            chunk=12, systems=tiny_systems("min_max"), blocks=1, plan=4, denoiser=denoiser, diffusion=diffusion
        )
    if size == "small":
        systems = small_systems("min_max")
        systems = replace(systems, lower=replace(systems.lower, width=systems.upper.model.width))
        return Config(systems=systems, blocks=3)
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract. Raises `ConfigError` unless the slow model is our own."""
    seen, dim, systems = contract.observation, contract.action.dim, config.systems
    above, model = upper_model(systems.upper, seen, {"plan": config.plan})
    if not isinstance(model.engine, Transformer):
        raise ConfigError("only blocks of our own transformer can be shared", leaf="upper.model")
    width = systems.lower.width
    link = TokenLink(systems.upper.model.width, width, read=("plan",), name="plan", count=config.plan)
    encoders = lower_encoders(systems.lower, seen)
    state, action = units(contract, systems.normalization, statistics)
    net = MemoryDit(config.denoiser, dim, config.chunk, memory=width)
    parts = Parts(
        encoders=encoders,
        upper=upper_system(systems, above, model, link),
        backbone=SharedBlocks(Shared(model.engine), config.blocks),
        decoder=ChunkDiffusion(config.diffusion, net, dim, config.chunk),
        foresight=lower_waypoints(systems.lower, seen, encoders, {"plan": config.plan}),
        state=state,
        action=action,
        weights={"foresight": 0.5},
        inference=systems.rates.inference(),
    )
    return Composition(chunked(contract, config.chunk), parts)
