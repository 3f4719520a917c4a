"""FP3: a large diffusion transformer over point clouds, fine-tuned to a new task with a few demonstrations.

Title: FP3: A 3D Foundation Policy for Robotic Manipulation
Year: 2025
Source: arXiv 2503.08950
Composition: geo.pc_enc(uni3d) + txt.sentence + prop.linear -> head.diffusion(bb.dit, cross-attention)
  [train: obj.eps; 60 thousand DROID episodes with points]
Published: about 1.3 B parameters
Ours: not yet measured; command: embodia bench zoo --policy fp3
Deviations: all cameras' points are one cloud, not one a camera; the sentence is a frozen MiniLM vector, not CLIP's; no
  pretrained Uni3D weights are shipped; points and sentence are one memory that every block looks at; tiny estimates
  states to come
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.detr import LayerSizes
from embodia.nn.normalize import Mode, Normalizer
from embodia.nn.tool import cube
from embodia.parts.backbones.together import Together
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.diffusion import ChunkDiffusion, DiffusionConfig
from embodia.parts.decoders.dit import CrossDit, DitConfig
from embodia.parts.encoders.language import LanguageToken
from embodia.parts.encoders.points import PointConfig, PointTokens
from embodia.parts.encoders.state import StateVector
from embodia.parts.encoders.waypoints import END, waypoints

UNI3D_L = PointConfig(
    groups=512, neighbours=64, hidden=256, depth=24, layers=LayerSizes(width=1024, heads=16, hidden=4096, pre_norm=True)
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's size. `ahead`: estimated states."""

    chunk: int = 16
    points: PointConfig = UNI3D_L
    denoiser: DitConfig = field(
        default_factory=lambda: DitConfig(width=1280, depth=37, heads=20, norm="rms", qk_norm=True)
    )
    diffusion: DiffusionConfig = field(default_factory=lambda: DiffusionConfig(prediction="epsilon"))
    ahead: tuple[int, ...] = ()
    normalization: Mode = "min_max"
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 2 M: 48 patches, four layers of 128; small 45 M; paper as published."""
    layers = LayerSizes(width=128, heads=4, hidden=384, dropout=0.0, pre_norm=True)
    if size == "tiny":
        return Config(
            chunk=12,
            points=PointConfig(groups=48, depth=2, layers=layers),
            denoiser=DitConfig(width=128, depth=4, heads=4, norm="rms", qk_norm=True),
            diffusion=DiffusionConfig(draws=4),
            ahead=(12, 24, 48, END),
        )
    if size == "small":
        layers = LayerSizes(width=384, heads=6, hidden=1536, dropout=0.0, pre_norm=True)
        return Config(
            points=PointConfig(groups=128, neighbours=32, hidden=128, depth=6, layers=layers),
            denoiser=DitConfig(width=384, depth=10, heads=6, norm="rms", qk_norm=True),
        )
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights. Raises `ConfigError` for a body without points."""
    seen, actions, known = contract.observation, contract.action, statistics or {}
    width = config.denoiser.width
    centre, half = cube(contract, known.get("state"))
    points = PointTokens(config.points, seen, width, centre=centre, half=half)
    encoders: dict[str, nn.Module] = {"state": StateVector(), "points": points}
    if seen.language:
        encoders["language"] = LanguageToken(width, position=False, deep=True)
    read = tuple(name for name in encoders if name != "state")
    net = CrossDit(
        config.denoiser,
        actions.dim,
        config.chunk,
        state_dim=seen.state_dim,
        memories={"seen": points.tokens + seen.language + bool(config.ahead)},
        rate_hz=actions.rate_hz,
    )
    parts = Parts(
        encoders=encoders,
        backbone=Together((*read, "ahead") if config.ahead else read, "seen"),
        foresight=waypoints(config.ahead, seen.state_dim, encoders, width, read),
        weights={"foresight": 0.5},
        decoder=ChunkDiffusion(config.diffusion, net, actions.dim, config.chunk),
        state=Normalizer(seen.state_dim, config.normalization, known.get("state")),
        action=Normalizer(actions.dim, config.normalization, known.get(actions.statistics_key)),
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)
