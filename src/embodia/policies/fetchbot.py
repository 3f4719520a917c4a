"""FetchBot: depth becomes a guess of where space is full, and that guess is what a policy among clutter acts on.

Title: FetchBot: Learning Generalizable Object Fetching in Cluttered Scenes via Zero-Shot Sim2Real
Year: 2025
Source: arXiv 2502.17894
Composition: vis.depth + prop.linear + txt.sentence -> bb.encoder -> geo.occ (occupancy predicted) -> head.regress
  [train: obj.reg against an oracle's actions + obj.feat (occupancy)]
Published: no parameter count
Ours: not yet measured; command: embodia bench zoo --policy fetchbot
Deviations: the oracle is whoever made the demonstrations, not a policy reinforced in simulation; sensed depth takes the
  place of a monocular estimator's; a sentence may say what to fetch; tiny estimates states to come
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
from embodia.parts.decoders.regression import ChunkRegression, RegressionConfig
from embodia.parts.encoders.depth import DepthTokens
from embodia.parts.encoders.language import LanguageToken
from embodia.parts.encoders.state import StateToken
from embodia.parts.encoders.waypoints import END, waypoints
from embodia.parts.heads.occupancy import Occupancy, OccupancyConfig


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are our reading of the paper's. `ahead`: estimated states.

    `cells` patches along each side of a depth picture, whatever its size; 0 takes patches of `patch` pixels.
    """

    chunk: int = 16
    patch: int = 16
    cells: int = 0
    layers: LayerSizes = field(
        default_factory=lambda: LayerSizes(width=512, heads=8, hidden=2048, dropout=0.1, pre_norm=True)
    )
    depth: int = 6
    head: RegressionConfig = field(default_factory=lambda: RegressionConfig(layers=4))
    occupancy: OccupancyConfig = field(default_factory=lambda: OccupancyConfig(size=24, hidden=512))
    occupancy_weight: float = 0.5
    ahead: tuple[int, ...] = ()
    normalization: Mode = "mean_std"
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 1.5 M; small 15 M; paper with a finer space."""
    if size == "tiny":
        layers = LayerSizes(width=160, heads=5, hidden=480, dropout=0.0, pre_norm=True)
        return Config(
            chunk=12,
            cells=8,
            layers=layers,
            depth=2,
            head=RegressionConfig(layers=2),
            occupancy=OccupancyConfig(),
            ahead=(12, 24, 48, END),
        )
    if size == "small":
        layers = LayerSizes(width=320, heads=8, hidden=1280, dropout=0.0, pre_norm=True)
        return Config(layers=layers, depth=4, head=RegressionConfig(layers=3), occupancy=OccupancyConfig(size=16))
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights. Raises `ConfigError` for a body without depth and points."""
    seen, actions, known, width = contract.observation, contract.action, statistics or {}, config.layers.width
    patch = max(1, seen.cameras[0].height // config.cells) if config.cells else config.patch
    encoders: dict[str, nn.Module] = {
        "depth": DepthTokens(seen, width, patch=patch),
        "state": StateToken(seen.state_dim, width, deep=True),
    }
    if seen.language:
        encoders["language"] = LanguageToken(width, deep=True)
    centre, half = cube(contract, known.get("state"))
    space = Occupancy(config.occupancy, seen, width, centre=centre, half=half, read=("depth", "state"))
    parts = Parts(
        encoders=encoders,
        backbone=TransformerEncoder(config.layers, config.depth),
        decoder=ChunkRegression(config.layers, config.head, actions.dim, config.chunk),
        heads={"occupancy": space},
        foresight=waypoints(config.ahead, seen.state_dim, encoders, width, tuple(encoders)),
        weights={"occupancy": config.occupancy_weight, "foresight": 0.5},
        state=Normalizer(seen.state_dim, config.normalization, known.get("state")),
        action=Normalizer(actions.dim, config.normalization, known.get(actions.statistics_key)),
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)
