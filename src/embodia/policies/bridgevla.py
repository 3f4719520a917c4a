"""BridgeVLA: a vision-language model looks at drawings of a point cloud and answers with heat maps on them.

Title: BridgeVLA: Input-Output Alignment for Efficient 3D Manipulation Learning with Vision-Language Models
Year: 2025
Source: arXiv 2506.07961
Composition: geo.backproject -> geo.ortho(3 views) -> bb.vlm(paligemma) -> head.heatmap (convex upsampling) + rotation
  bins -> act.space(key-frame) [train: heat maps of named objects first, then of the next key frame, obj.ce]
Published: RLBench 88.2 % over 18 tasks; PaliGemma 3B and heads, no count of the whole
Ours: 10 % (7-15, n 200) on Desk, tiny: results/zoo/bridgevla.json; command: embodia bench zoo --policy bridgevla
Deviations: one look, without the second one at a smaller cube; the first stage (heat maps of named objects) is left
  out; no pretrained weights are shipped; tiny and small see through a small tower, and tiny's heat is also asked of
  the drawings' pixels by the sentence, in place of pre-training
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from embodia.builders.families import paligemma_3b
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
from embodia.parts.encoders.siglip import SiglipConfig


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's. `views.patch` is the pixels a token of the eye stands for.

    `pixels` lets the sentence ask the pixels of the drawings too, not only the words of the model.
    """

    chunk: int = 24
    model: VlmConfig = field(default_factory=paligemma_3b)
    views: ViewConfig = field(default_factory=lambda: ViewConfig(size=224, patch=14))
    keys: KeyFrameConfig = field(default_factory=lambda: KeyFrameConfig(upsample=14, cells=64, spread=1.5))
    pixels: bool = False
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 2.5 M and small 46 M see three drawings through a small tower; paper as published."""
    if size == "tiny":
        eye = SiglipConfig(width=128, depth=2, heads=4, hidden=384, patch=8, pixels=32)
        layers = TransformerConfig(width=160, depth=4, heads=4, kv_heads=4, head_dim=40, mlp_width=480)
        model = VlmConfig(vision=eye, camera_embedding=True, model=layers)
        return Config(chunk=12, model=model, views=ViewConfig(), keys=KeyFrameConfig(), pixels=True)
    if size == "small":
        eye = SiglipConfig(width=384, depth=6, heads=6, hidden=1536, patch=14, pixels=112)
        layers = TransformerConfig(width=512, depth=8, heads=8, kv_heads=2, head_dim=64, mlp_width=2048)
        model = VlmConfig(vision=eye, camera_embedding=True, model=layers)
        keys = KeyFrameConfig(upsample=14, cells=48, spread=1.5)
        return Config(model=model, views=ViewConfig(size=112, patch=14), keys=keys)
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights. Raises `ConfigError` for a body without points, or whose tool has no place."""
    seen, known, tool = contract.observation, statistics or {}, tool_of(contract)
    state = Normalizer(seen.state_dim, "mean_std", known.get("state"))
    action = Normalizer(contract.action.dim, "mean_std", known.get(contract.action.statistics_key))
    centre, half = workspace(tool, known.get("state"))
    sides, size = config.views.views, config.views.size
    encoders, model = vision_language(config.model, drawn_spec(seen, sides, size))
    encoders["image"] = OrthoEyes(encoders["image"], sides, size, centre=centre, half=half)
    if config.pixels:
        encoders["early"] = DrawnPixels(config.views, centre=centre, half=half)
    decoder = KeyFrameDecoder(
        replace(config.keys, zoom=0.0),
        config.views,
        tool,
        action,
        config.chunk,
        centre=centre,
        half=half,
        width=config.model.model.width,
        read="image",
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
