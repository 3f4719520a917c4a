"""OG-VLA: a language model looks at orthographic drawings of the scene and draws on them where the hand shall be.

Title: OG-VLA: 3D-Aware Vision Language Action Model via Orthographic Image Generation
Year: 2025
Source: arXiv 2506.01196
Composition: geo.backproject -> geo.ortho(4 views) -> vis.vit -> bb.vlm(LLM) -> drawing tokens -> head.image(pose drawn
  on views) -> head.heatmap read-out -> act.space(key-frame) [train: obj.ntp + drawing]
Published: no count of the whole; a language model of 7 B
Ours: not yet measured; command: embodia bench zoo --policy og_vla
Deviations: drawings are made in one pass by convolutions over the language model's drawing tokens, not by an image
  diffusion model; the turn is said in bins, not drawn as colours; no pretrained weights are shipped; tiny's heat is
  also asked of the drawings' pixels by the sentence, in place of pre-training
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from embodia.builders.families import llava_7b
from embodia.builders.vlm import VlmConfig, vision_language
from embodia.core.moments import AFTER_KEY, NEXT_KEY
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.multiview import ViewConfig
from embodia.nn.normalize import Normalizer
from embodia.nn.tool import tool_of, workspace
from embodia.nn.transformer import TransformerConfig
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.keyframe import KeyFrameConfig, KeyFrameDecoder, KeyFrameLoss
from embodia.parts.encoders.cloud import ToolNow
from embodia.parts.encoders.ortho import DrawnPixels, OrthoEyes, drawn_spec
from embodia.parts.encoders.queries import LearnedTokens
from embodia.parts.encoders.siglip import SiglipConfig

SIDES = ("top", "front", "left", "right")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's. The language model draws `views.grid` squared tokens a view.

    `pixels` lets the sentence ask the pixels of the drawings too.
    """

    chunk: int = 24
    model: VlmConfig = field(default_factory=llava_7b)
    drawn: int = 336
    views: ViewConfig = field(default_factory=lambda: ViewConfig(views=SIDES, size=128, patch=16))
    keys: KeyFrameConfig = field(default_factory=lambda: KeyFrameConfig(upsample=16, cells=64, spread=1.5))
    pixels: bool = False
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 2.4 M and small 47 M see four drawings through a small tower; paper as published."""
    if size == "tiny":
        eye = SiglipConfig(width=96, depth=2, heads=4, hidden=288, patch=8, pixels=32)
        layers = TransformerConfig(width=160, depth=4, heads=4, kv_heads=4, head_dim=40, mlp_width=480)
        model = VlmConfig(vision=eye, camera_embedding=True, model=layers)
        views = ViewConfig(views=SIDES)
        return Config(chunk=12, model=model, drawn=32, views=views, keys=KeyFrameConfig(), pixels=True)
    if size == "small":
        eye = SiglipConfig(width=384, depth=6, heads=6, hidden=1536, patch=14, pixels=112)
        layers = TransformerConfig(width=512, depth=8, heads=8, kv_heads=2, head_dim=64, mlp_width=2048)
        model = VlmConfig(vision=eye, camera_embedding=True, model=layers)
        return Config(model=model, drawn=112, keys=KeyFrameConfig(upsample=16, cells=48))
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights. Raises `ConfigError` for a body without points, or whose tool has no place."""
    seen, known, tool = contract.observation, statistics or {}, tool_of(contract)
    state = Normalizer(seen.state_dim, "mean_std", known.get("state"))
    action = Normalizer(contract.action.dim, "mean_std", known.get(contract.action.statistics_key))
    centre, half = workspace(tool, known.get("state"))
    views, width = config.views, config.model.model.width
    drawing = LearnedTokens("drawing", len(views.views) * views.grid**2, width)
    spec = drawn_spec(seen, views.views, config.drawn)
    encoders, model = vision_language(config.model, spec, extra={"drawing": drawing})
    encoders["image"] = OrthoEyes(encoders["image"], views.views, config.drawn, centre=centre, half=half)
    if config.pixels:
        encoders["early"] = DrawnPixels(views, centre=centre, half=half)
    decoder = KeyFrameDecoder(
        replace(config.keys, zoom=0.0),
        views,
        tool,
        action,
        config.chunk,
        centre=centre,
        half=half,
        width=width,
        read="drawing",
        early=config.pixels,
        told=tuple(name for name in ("state", "language") if name in encoders),
    )
    parts = Parts(
        encoders={**encoders, "tool": ToolNow(tool, state)},
        backbone=model,
        decoder=decoder,
        heads={"key": KeyFrameLoss(decoder, tool)},
        ahead=(NEXT_KEY, AFTER_KEY),
        state=state,
        action=action,
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)
