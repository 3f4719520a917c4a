"""RoboMM: a Flamingo that knows where its cameras look, and learns to see space beside acting.

Title: RoboMM: All-in-One Multimodal Large Model for Robotic Manipulation
Year: 2024
Source: arXiv 2412.07215
Composition: vis.vit + geo.backproject (camera parameters) + geo.ego3d -> fuse.resampler -> bb.vlm(OpenFlamingo,
  fuse.gated_xattn) -> head.regress + head.image + head.aux(occupancy) [train: obj.reg + obj.recon + obj.feat]
Published: no count of the whole; OpenFlamingo 3 B
Ours: not yet measured; command: embodia bench zoo --policy robomm
Deviations: where cells lie in space comes from depth and the field of view, in each camera's own frame, not from
  multi-view features lifted by calibrated cameras; occupancy comes from points; a Llama layer stands for MPT's; tiny
  estimates states to come
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.cross import CrossSizes
from embodia.nn.normalize import Mode, Normalizer
from embodia.nn.tool import cube
from embodia.nn.transformer import TransformerConfig
from embodia.parts.backbones.gated import GatedLanguageModel
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.pooled import PooledConfig, PooledRegression
from embodia.parts.encoders.depth import Ego3d
from embodia.parts.encoders.language import LanguageToken
from embodia.parts.encoders.queries import LearnedTokens
from embodia.parts.encoders.resampled import ResampledEyes, ResamplerConfig
from embodia.parts.encoders.siglip import SiglipConfig
from embodia.parts.encoders.state import StateToken
from embodia.parts.encoders.towers import TowerConfig
from embodia.parts.encoders.vision import VisionConfig, camera_tokens
from embodia.parts.encoders.waypoints import END, waypoints
from embodia.parts.heads.forecast import Forecast, ForecastConfig
from embodia.parts.heads.occupancy import Occupancy, OccupancyConfig

CLIP_L = TowerConfig(family="clip", width=1024, depth=24, heads=16, hidden=4096, scaling="imagenet")
MPT_1B = TransformerConfig(width=2048, depth=24, heads=16, kv_heads=16, head_dim=128, mlp_width=5461)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's. `inside` is the width of picture tokens.

    `ahead` are steps at which states to come are estimated."""

    chunk: int = 10
    vision: VisionConfig = CLIP_L
    inside: int = 1024
    resampler: ResamplerConfig = field(default_factory=ResamplerConfig)
    model: TransformerConfig = MPT_1B
    crossed: CrossSizes = field(default_factory=CrossSizes)
    gate: float = 0.0
    readouts: int = 8
    head: PooledConfig = field(default_factory=PooledConfig)
    picture: ForecastConfig = field(default_factory=lambda: ForecastConfig(width=512, heads=8, hidden=2048, layers=2))
    space: OccupancyConfig = field(default_factory=lambda: OccupancyConfig(size=24, hidden=512))
    aside: float = 0.2
    ahead: tuple[int, ...] = ()
    normalization: Mode = "mean_std"
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 3 M with a small tower; small 40 M; paper OpenFlamingo 3 B."""
    if size == "tiny":
        return Config(
            chunk=12,
            vision=SiglipConfig(width=96, depth=2, heads=4, hidden=288, patch=8, pixels=48),
            inside=128,
            resampler=ResamplerConfig(count=16, depth=1, sizes=CrossSizes(heads=4, head_dim=32, expand=2)),
            model=TransformerConfig(width=128, depth=3, heads=4, kv_heads=4, head_dim=32, mlp_width=384),
            crossed=CrossSizes(heads=4, head_dim=32, expand=2),
            gate=0.5,
            readouts=2,
            ahead=(12, 24, 48, END),
            picture=ForecastConfig(width=96),
            space=OccupancyConfig(),
        )
    if size == "small":
        eye = SiglipConfig(width=384, depth=6, heads=6, hidden=1536, patch=16, pixels=128)
        model = TransformerConfig(width=512, depth=6, heads=8, kv_heads=8, head_dim=64, mlp_width=1365)
        return Config(vision=eye, inside=256, resampler=ResamplerConfig(count=32, depth=2), model=model, gate=0.5)
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights. Raises `ConfigError` for a body without depth and points."""
    seen, actions, known, width = contract.observation, contract.action, statistics or {}, config.model.width
    eyes = camera_tokens(config.vision, seen, config.inside)
    placed = Ego3d(eyes, seen, config.inside, eyes.sizes[0])
    encoders: dict[str, nn.Module] = {
        "image": ResampledEyes(placed, config.resampler, config.inside, config.inside),
        "state": StateToken(seen.state_dim, width, deep=True),
        "readout": LearnedTokens("readout", config.readouts, width),
    }
    if seen.language:
        encoders["language"] = LanguageToken(width, deep=True)
    centre, half = cube(contract, known.get("state"))
    read = ("readout", "state", "ahead") if config.ahead else ("readout", "state")
    parts = Parts(
        encoders=encoders,
        backbone=GatedLanguageModel(config.model, config.inside, sizes=config.crossed, gate=config.gate),
        decoder=PooledRegression(
            config.head, width, actions.dim, config.chunk, read=read, tokens=config.readouts + len(read) - 1
        ),
        foresight=waypoints(config.ahead, seen.state_dim, encoders, width, ("state", "language", "image")),
        heads={
            "picture": Forecast(config.picture, seen, width, name="picture", read="readout", steps=1),
            "space": Occupancy(config.space, seen, width, centre=centre, half=half, read=("readout",)),
        },
        later=(config.chunk,),
        weights={"picture": config.aside, "occupancy": config.aside, "foresight": 0.5},
        state=Normalizer(seen.state_dim, config.normalization, known.get("state")),
        action=Normalizer(actions.dim, config.normalization, known.get(actions.statistics_key)),
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)
