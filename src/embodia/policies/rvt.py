"""RVT: a cloud of points is looked at from fixed sides; heat maps on these views say where the hand is to be next.

Title: RVT: Robotic View Transformer for 3D Object Manipulation
Year: 2023
Source: arXiv 2306.14896
Composition: geo.ortho(5 views) + txt.sentence + prop.linear -> bb.encoder(multi-view) -> head.heatmap + rotation bins
  -> act.space(key-frame) [train: obj.ce on the next key frame]
Variants: RVT-2 (arXiv 2406.08545): `stages=2`, a second look at a small cube round the first answer
Published: no parameter count is stated in the papers
Ours: 11 % (7-16, n 200) on Desk, tiny: results/zoo/rvt.json; command: embodia bench zoo --policy rvt
Deviations: the sentence is one frozen MiniLM vector, not CLIP's 77 tokens; heat maps are upsampled convexly in both
  variants, and the sentence also asks the pixels of the drawings directly; a turn is about the vertical, as the control
  allows; a key frame is approached by a straight chunk of steps; our number is of one look, tiny looks twice since
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from embodia.core.moments import AFTER_KEY, NEXT_KEY
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.detr import LayerSizes
from embodia.nn.multiview import ViewConfig
from embodia.nn.normalize import Normalizer
from embodia.nn.tool import tool_of, workspace
from embodia.parts.backbones.multiview import MultiView
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.keyframe import KeyFrameConfig, KeyFrameDecoder, KeyFrameLoss
from embodia.parts.encoders.cloud import Cloud, ToolNow
from embodia.parts.encoders.language import LanguageToken
from embodia.parts.encoders.state import StateToken

SIDES = ("top", "front", "left", "back", "right")
LAYERS = LayerSizes(width=512, heads=8, hidden=2048, dropout=0.1, pre_norm=True)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's. `stages` 2 is RVT-2.

    `jitter` moves the cube that is looked at while training, in halves of it."""

    chunk: int = 24
    views: ViewConfig = field(
        default_factory=lambda: ViewConfig(views=SIDES, size=220, patch=11, stem=64, layers=LAYERS, inside=4, across=4)
    )
    keys: KeyFrameConfig = field(default_factory=lambda: KeyFrameConfig(upsample=11, cells=64, spread=1.5))
    stages: Literal[1, 2] = 1
    zoom: float = 4.0
    jitter: float = 0.25
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 2.3 M looks twice (RVT-2) at three views of 32 pixels; small 23 M at five of 110; paper as published."""
    if size == "tiny":
        return Config(chunk=12, views=ViewConfig(), keys=KeyFrameConfig(), stages=2, jitter=0.0)
    if size == "small":
        layers = LayerSizes(width=320, heads=8, hidden=1280, dropout=0.0, pre_norm=True)
        views = ViewConfig(views=SIDES, size=110, patch=11, layers=layers, inside=3, across=4)
        return Config(views=views, keys=KeyFrameConfig(upsample=11, cells=48), stages=2)
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights. Raises `ConfigError` for a body without points, or whose tool has no place."""
    seen, known, tool = contract.observation, statistics or {}, tool_of(contract)
    width = config.views.layers.width
    state = Normalizer(seen.state_dim, "mean_std", known.get("state"))
    action = Normalizer(contract.action.dim, "mean_std", known.get(contract.action.statistics_key))
    centre, half = workspace(tool, known.get("state"))
    further = ("state", "language") if seen.language else ("state",)
    keys = replace(config.keys, zoom=config.zoom if config.stages == 2 else 0.0)
    decoder = KeyFrameDecoder(
        keys,
        config.views,
        tool,
        action,
        config.chunk,
        centre=centre,
        half=half,
        further=further,
        early=True,
        told=further,
    )
    encoders = {
        "cloud": Cloud(seen),
        "tool": ToolNow(tool, state),
        "state": StateToken(seen.state_dim, width, positions=False, deep=True),
    }
    if seen.language:
        encoders["language"] = LanguageToken(width, position=False, deep=True)
    parts = Parts(
        encoders=encoders,
        backbone=MultiView(config.views, further, centre.clone(), half.clone(), jitter=config.jitter),
        decoder=decoder,
        heads={"key": KeyFrameLoss(decoder, tool)},
        ahead=(NEXT_KEY, AFTER_KEY),
        state=state,
        action=action,
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)
