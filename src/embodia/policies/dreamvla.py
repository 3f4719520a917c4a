"""DreamVLA: query tokens dream of what moves, of depth and of meaning; a diffusion head acts on the dream.

Title: DreamVLA: A Vision-Language-Action Model Dreamed with Comprehensive World Knowledge
Year: 2025
Source: arXiv 2507.04447; chunk and sizes as in the public code
Composition: vis.vit(MAE) + fuse.resampler + txt.clip + prop.linear -> bb.causal with dream queries (each kind sees the
  senses and itself) -> head.aux(moving patches, depth, features) + query -> head.diffusion(bb.dit) [train: obj.frame +
  obj.feat + obj.eps]
Published: CALVIN ABC to D 4.44 tasks in a row; LIBERO 92.6 %; 76.7 % on real tasks; no parameter count
Ours: not yet measured; command: embodia bench zoo --policy dreamvla
Deviations: meaning is the map of a frozen tower with random weights, where the paper takes DINOv2's and SAM's; depth is
  dreamed of only where a body measures it; tiny sees through keypoints and estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from embodia.builders.gpt import GptConfig, Query, gpt_model, small_gpt, video_gpt
from embodia.builders.two_systems import units
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.conv import ConvStem
from embodia.nn.cross import CrossSizes
from embodia.nn.transformer import TransformerConfig
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.diffusion import ChunkDiffusion, DiffusionConfig
from embodia.parts.decoders.dit import DitConfig
from embodia.parts.decoders.memory_dit import MemoryDit
from embodia.parts.encoders.resampled import ResamplerConfig
from embodia.parts.heads.forecast import Forecast, ForecastConfig, depth_cameras


def _published() -> GptConfig:
    model = TransformerConfig(width=1024, depth=24, heads=16, kv_heads=16, head_dim=64, mlp_width=2730)
    pressed = ResamplerConfig(count=32, depth=3, sizes=CrossSizes(heads=8, head_dim=64))
    return video_gpt(model, pressed, history=10, frozen=True)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's as far as it states them. `dream` tokens a kind of knowledge."""

    chunk: int = 3
    gpt: GptConfig = field(default_factory=_published)
    later: tuple[int, ...] = (3,)
    dream: int = 9
    act: int = 9
    painter: ForecastConfig = field(
        default_factory=lambda: ForecastConfig(pixels=224, width=384, heads=12, hidden=1536, layers=2)
    )
    denoiser: DitConfig = field(default_factory=lambda: DitConfig(width=768, depth=12, heads=12))
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 4 M with steered keypoints; small 90 M; paper as published."""
    if size == "tiny":
        model = TransformerConfig(width=128, depth=4, heads=4, kv_heads=4, head_dim=32, mlp_width=384)
        painter = ForecastConfig(width=96, heads=4, hidden=192)
        denoiser, diffusion = DitConfig(width=128, depth=2, heads=4), DiffusionConfig(draws=3)
        return Config(
            chunk=12,
            gpt=GptConfig(model=model),
            later=(12,),
            dream=3,
            act=4,
            painter=painter,
            denoiser=denoiser,
            diffusion=diffusion,
        )
    if size == "small":
        painter, denoiser = ForecastConfig(pixels=128, layers=2), DitConfig(width=512, depth=8, heads=8)
        return Config(chunk=10, gpt=small_gpt(), later=(10,), painter=painter, denoiser=denoiser)
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract; kinds of dreams do not see one another."""
    seen, dim, width = contract.observation, contract.action.dim, config.gpt.model.width
    kinds = {"moving": "moving", "meaning": "features"}
    if depth_cameras(seen):
        kinds["depth"] = "depth"
    queries = {name: Query(count=config.dream) for name in kinds}
    encoders, model, foresight = gpt_model(
        config.gpt, seen, {**queries, "act": Query(count=config.act, sees=tuple(kinds))}
    )
    dreams = {
        name: Forecast(
            replace(config.painter, target=target),  # type: ignore[arg-type]
            seen,
            width,
            name=name,
            read=name,
            steps=len(config.later),
            features=ConvStem((16, 32, 48, 64)) if target == "features" else None,
        )
        for name, target in kinds.items()
    }
    state, action = units(contract, "min_max", statistics)
    net = MemoryDit(config.denoiser, dim, config.chunk, read=("act",), memory=width)
    parts = Parts(
        encoders=encoders,
        backbone=model,
        decoder=ChunkDiffusion(config.diffusion, net, dim, config.chunk),
        foresight=foresight,
        heads=dreams,
        later=config.later,
        state=state,
        action=action,
        weights={"moving": 0.1, "meaning": 0.1, "depth": 0.01, "foresight": 0.5},
        history=config.gpt.history,
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)
