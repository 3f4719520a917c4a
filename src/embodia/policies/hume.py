"""Hume: a slow system begins several chunks, values tell which is best, a fast system ends that one.

Title: Hume: Introducing System-2 Thinking in Visual-Language-Action Model
Year: 2025
Source: arXiv 2505.21432; candidates and chunk as in the public code
Composition: bb.vlm(PaliGemma 3B) + bb.mot expert + head.flow + head.value (S2) -> tt.sample + tt.score_value
  -> link.cascade -> DINOv2 S + bb.causal(8 layers) head.flow (S1) [train: obj.fm + obj.q]
Published: LIBERO 98.6 %; no parameter count is stated
Ours: not yet measured; command: embodia bench zoo --policy hume
Deviations: without rewards in imitation data the value learns by the conservative term of Cal-QL alone; its query is
  answered by the reader, not by four layers of its own; both systems act at one rate on one chunk; the fast one has 8
  layers as wide as the expert, in the public code 13 of width 512 and a chunk of half; candidates share one noise
  level; tiny and small see through keypoints or a small tower and read the sentence as one frozen MiniLM vector
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from embodia.builders.flow_vla import GEMMA_300M, FlowVlaConfig, flow_policy, flow_vla, small_vla, tiny_vla
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.transformer import TransformerConfig
from embodia.parts.backbones.action_expert import ActionExpert
from embodia.parts.compose import Composition, Inference
from embodia.parts.decoders.cascade import CascadeConfig, CascadeDecoder, ValueQuery
from embodia.parts.decoders.flow import FlowDecoder
from embodia.parts.encoders.eyes import EyesConfig, eyes
from embodia.parts.encoders.keypoint_stem import QUICK_EYES
from embodia.parts.encoders.renamed import Renamed
from embodia.parts.encoders.towers import TowerConfig

DINOV2_S = TowerConfig(family="dinov2", width=384, depth=12, heads=6, hidden=1536, scaling="imagenet")
FAST = replace(GEMMA_300M, depth=8)
GLANCE = ("glance", "state")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's. The fast system has the width of the slow one's expert."""

    chunk: int = 16
    model: FlowVlaConfig = field(default_factory=FlowVlaConfig)
    eye: EyesConfig = DINOV2_S
    fast: TransformerConfig = FAST
    cascade: CascadeConfig = field(default_factory=CascadeConfig)
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 4.9 M with steered keypoints; small 75 M with a small vision tower; paper as published."""
    if size == "tiny":
        model, reader = (
            tiny_vla(),
            TransformerConfig(width=192, depth=3, heads=4, kv_heads=4, head_dim=48, mlp_width=384),
        )
        slim = replace(model, vlm=replace(model.vlm, model=reader), expert=replace(reader, width=128))
        return Config(chunk=12, model=slim, eye=QUICK_EYES, fast=replace(slim.expert, depth=2))
    if size == "small":
        model = small_vla()
        return Config(model=model, eye=model.vlm.vision, fast=replace(model.expert, depth=4))
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    glance = Renamed(eyes(config.eye, contract.observation, config.fast.width), "glance")
    made = flow_vla(contract, config.chunk, config.model, beside={"glance": glance}, outputs=True)
    slow, dim = made.decoder, contract.action.dim
    table = {"glance": ("glance",), "state": GLANCE, "action": (*GLANCE, "action")}
    flow = replace(slow.config, time_most=config.cascade.handover)
    fast = FlowDecoder(ActionExpert(config.fast, slow.width, config.chunk, table), flow, dim, config.chunk, slow.width)
    value = ValueQuery(config.cascade, config.model.vlm.model.width, config.chunk * dim)
    return flow_policy(
        contract,
        config.chunk,
        config.model,
        made,
        statistics,
        decoder=CascadeDecoder(config.cascade, slow, fast, value),
        inference=config.inference,
    )
