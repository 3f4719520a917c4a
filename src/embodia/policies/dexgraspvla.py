"""DexGraspVLA: a planner points at the thing to grasp; a diffusion controller sees the pointing and acts.

Title: DexGraspVLA: A Vision-Language-Action Framework Towards General Dexterous Grasping
Year: 2025
Source: arXiv 2502.20900
Composition: bb.vlm planner(Qwen2.5-VL 72B) -> link.ground(box) -> vis.mask -> vis.vit(dinov2) + prop.linear -> bb.dit
  -> head.diffusion [train: obj.eps; the planner is pretrained]
Published: 90.8 % on 1,287 unseen combinations of things, lights and grounds; no parameter count
Ours: 26 % (20-32, n 200) on Desk, tiny: results/zoo/dexgraspvla.json; command: embodia bench zoo --policy dexgraspvla
Deviations: nobody draws boxes here, they are learned through the soft mask; the mask follows the message, no tracker
  moves it; tiny sees cells of a shallow stem, and its controller hears the sentence, since Desk asks for more than
  grasping; it estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from embodia.builders.families import qwen2_5_vl
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
from embodia.parts.encoders.conv_stem import ConvStemConfig
from embodia.parts.encoders.siglip import SiglipConfig
from embodia.parts.links.ground import GroundLink


def _published() -> SystemsConfig:
    tower = SiglipConfig(width=1024, depth=24, heads=16, hidden=4096)
    lower = LowerConfig(vision=tower, width=1024, deep=False)
    rates = RatesConfig(every=4, stale=24, execute=6)
    return SystemsConfig(upper=qwen2_5_vl("7b"), lower=lower, rates=rates, normalization="min_max")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's as far as it states them."""

    chunk: int = 64
    systems: SystemsConfig = field(default_factory=_published)
    denoiser: DitConfig = field(default_factory=lambda: DitConfig(width=1024, depth=12, heads=16))
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)


def preset(size: str) -> Config:
    """tiny 4 M; small 85 M; paper Qwen2.5-VL 7B above a tower of DINOv2 L's size and a controller of 12 blocks."""
    if size == "tiny":
        systems = tiny_systems("min_max", hears=True)
        stem = ConvStemConfig(widths=(32, 64, 96, 128))
        systems = replace(systems, lower=replace(systems.lower, vision=stem))
        denoiser, diffusion = DitConfig(width=128, depth=2, heads=4), DiffusionConfig(draws=3)
        return Config(chunk=12, systems=systems, denoiser=denoiser, diffusion=diffusion)
    if size == "small":
        return Config(chunk=32, systems=small_systems("min_max"), denoiser=DitConfig(width=512, depth=8, heads=8))
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    seen, dim, systems = contract.observation, contract.action.dim, config.systems
    above, model = upper_model(systems.upper, seen, {"point": len(seen.cameras)})
    encoders = lower_encoders(systems.lower, seen)
    cameras, width = len(seen.cameras), systems.lower.width
    grids: tuple[tuple[int, int], ...] = encoders["image"].sizes  # type: ignore[assignment]
    link = GroundLink(systems.upper.model.width, width, cameras, read="point", grids=grids)
    state, action = units(contract, systems.normalization, statistics)
    net = MemoryDit(config.denoiser, dim, config.chunk, memory=width)
    parts = Parts(
        encoders=encoders,
        upper=upper_system(systems, above, model, link),
        decoder=ChunkDiffusion(config.diffusion, net, dim, config.chunk),
        foresight=lower_waypoints(systems.lower, seen, encoders, {"target": cameras}),
        state=state,
        action=action,
        weights={"foresight": 0.5},
        inference=systems.rates.inference(),
    )
    return Composition(chunked(contract, config.chunk), parts)
