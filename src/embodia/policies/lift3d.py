"""Lift3D: a transformer made for pictures reads points, because their positions are looked up on virtual planes.

Title: Lift3D Foundation Policy: Lifting 2D Large-Scale Pretrained Models for Robust 3D Robotic Manipulation
Year: 2024
Source: arXiv 2411.18623
Composition: geo.pc_enc(patches) + geo.lift(planes) -> vis.vit(clip base) + prop.linear + txt.sentence
  -> head.regress [train: masked depth first, then obj.reg]
Published: no parameter count of the whole policy
Ours: not yet measured; command: embodia bench zoo --policy lift3d
Deviations: no pretrained CLIP or DINOv2 weights are shipped, and the first stage (masked depth) is left out; an
  instruction may enter as a frozen MiniLM vector; a chunk is predicted, not one action; tiny estimates states to come
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
from embodia.parts.backbones.encoder import TransformerEncoder
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.pooled import PooledConfig, PooledRegression
from embodia.parts.encoders.language import LanguageToken
from embodia.parts.encoders.points import PointConfig, PointTokens
from embodia.parts.encoders.state import StateToken
from embodia.parts.encoders.waypoints import END, waypoints

CLIP_BASE = LayerSizes(width=768, heads=12, hidden=3072, dropout=0.0, pre_norm=True)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are a base vision transformer's. `mixing` layers join points, state, sentence.

    `ahead` are steps at which states to come are estimated."""

    chunk: int = 16
    points: PointConfig = field(
        default_factory=lambda: PointConfig(
            groups=128, neighbours=32, hidden=128, depth=12, lift=True, table=14, layers=CLIP_BASE
        )
    )
    mixing: int = 0
    head: PooledConfig = field(default_factory=lambda: PooledConfig(pool="max", hidden=(256, 256)))
    ahead: tuple[int, ...] = ()
    normalization: Mode = "mean_std"
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 1.5 M; small 22 M, as a small vision transformer; paper as a base one."""
    if size == "tiny":
        return Config(
            chunk=12,
            points=PointConfig(groups=32, lift=True),
            mixing=2,
            ahead=(12, 24, 48, END),
            head=PooledConfig(pool="flat", hidden=(256,)),
        )
    if size == "small":
        layers = LayerSizes(width=384, heads=6, hidden=1536, dropout=0.0, pre_norm=True)
        points = PointConfig(groups=128, neighbours=32, hidden=128, depth=12, lift=True, layers=layers)
        return Config(points=points, mixing=1)
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights. Raises `ConfigError` for a body without points."""
    seen, actions, known = contract.observation, contract.action, statistics or {}
    sizes = config.points.layers
    centre, half = cube(contract, known.get("state"))
    points = PointTokens(config.points, seen, sizes.width, centre=centre, half=half)
    encoders: dict[str, nn.Module] = {"points": points, "state": StateToken(seen.state_dim, sizes.width, deep=True)}
    if seen.language:
        encoders["language"] = LanguageToken(sizes.width, deep=True)
    head = PooledRegression(
        config.head,
        sizes.width,
        actions.dim,
        config.chunk,
        read=(*encoders, "ahead") if config.ahead else tuple(encoders),
        tokens=points.tokens + len(encoders) - 1 + bool(config.ahead),
    )
    parts = Parts(
        encoders=encoders,
        backbone=TransformerEncoder(sizes, config.mixing) if config.mixing else None,
        decoder=head,
        foresight=waypoints(config.ahead, seen.state_dim, encoders, sizes.width, tuple(encoders)),
        weights={"foresight": 0.5},
        state=Normalizer(seen.state_dim, config.normalization, known.get("state")),
        action=Normalizer(actions.dim, config.normalization, known.get(actions.statistics_key)),
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)
