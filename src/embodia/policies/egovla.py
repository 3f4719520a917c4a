"""EgoVLA: learn hands from first-person video of people, then keep the hand and change the body.

Title: EgoVLA: Learning Vision-Language-Action Models from Egocentric Human Videos
Year: 2025
Source: arXiv 2507.12440
Composition: bb.vlm(NVILA 2B, 6 frames) + prop.keypoint + action queries -> 6-layer decoder -> head.regress(wrist, hand
  components) -> prop.retarget -> act.space(humanoid) [train: obj.reg on data.hand, then on robot data]
Published: 2 B parameters, rounded; actions at 30 Hz
Ours: 52 % (45-58, n 200) on Desk, tiny: results/zoo/egovla.json; command: embodia bench zoo --policy egovla
Deviations: Qwen2-VL 2B stands for NVILA 2B; human hands are retargeted while data is made (parts/retarget.py), so that
  the action is the robot's from the beginning; tiny looks at one moment through keypoints and estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from embodia.builders.families import qwen2_vl
from embodia.builders.two_systems import units
from embodia.builders.vlm import VlmConfig, small_vlm, vision_language
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.detr import LayerSizes
from embodia.nn.transformer import TransformerConfig
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.regression import ChunkRegression, RegressionConfig
from embodia.parts.encoders.queries import LearnedTokens
from embodia.parts.encoders.waypoints import END, Waypoints


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's. `queries` of the language model are what the decoder reads."""

    chunk: int = 30
    history: int = 6
    vlm: VlmConfig = field(default_factory=lambda: replace(qwen2_vl("2b"), state="token"))
    queries: int = 30
    layers: LayerSizes = field(
        default_factory=lambda: LayerSizes(width=1024, heads=16, hidden=4096, dropout=0.0, pre_norm=True)
    )
    head: RegressionConfig = field(default_factory=lambda: RegressionConfig(layers=6, error="l2"))
    ahead: tuple[int, ...] = ()
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 4 M with steered keypoints; small 60 M; paper 2 B and a decoder of six layers."""
    if size == "tiny":
        return Config(
            chunk=12,
            history=1,
            vlm=VlmConfig(model=TransformerConfig(width=160, depth=4, heads=4, kv_heads=4, head_dim=40, mlp_width=416)),
            queries=6,
            layers=LayerSizes(width=160, heads=4, hidden=416, dropout=0.0, pre_norm=True),
            head=RegressionConfig(layers=2),
            ahead=(12, 24, 48, END),
        )
    if size == "small":
        layers = LayerSizes(width=512, heads=8, hidden=2048, dropout=0.0, pre_norm=True)
        return Config(history=2, vlm=small_vlm(), layers=layers, head=RegressionConfig(layers=4))
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    seen, dim, width = contract.observation, contract.action.dim, config.vlm.model.width
    encoders, model = vision_language(config.vlm, seen, extra={"act": LearnedTokens("act", config.queries, width)})
    foresight = None
    if config.ahead:
        tokens = config.history * (int(encoders["image"].tokens) + 1) + seen.language  # type: ignore[arg-type]
        foresight = Waypoints(width, seen.state_dim, config.ahead, tokens)
    state, action = units(contract, "mean_std", statistics)
    read = ("act", "ahead") if config.ahead else ("act",)
    wide = width if width != config.layers.width else 0
    parts = Parts(
        encoders=encoders,
        backbone=model,
        decoder=ChunkRegression(config.layers, config.head, dim, config.chunk, read=read, memory_width=wide),
        foresight=foresight,
        state=state,
        action=action,
        weights={"foresight": 0.5},
        history=config.history,
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)
