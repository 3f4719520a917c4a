"""GraspVLA: says where the object lies, then how to grasp it, then moves; each step reads the one before.

Title: GraspVLA: a Grasping Foundation Model Pre-trained on Billion-scale Synthetic Action Data
Year: 2025
Source: arXiv 2505.03233
Composition: vis.dual(DINOv2 + SigLIP) + bb.vlm(InternLM2 1.8B) -> head.ar(box, grasp pose as tokens)
  -> bb.mot(action expert) -> head.flow [train: obj.ntp on data.vqa grounding + data.sim(SynGrasp), obj.fm]
Published: the sizes of the reading model are stated, that of the expert and the total are not
Ours: not yet measured; command: embodia bench zoo --policy graspvla
Deviations: box and pose are written out as text; with data that know no grasp the box alone is said; InternLM2 is a
  Llama of its sizes; the expert has half the width and a quarter of the hidden width; tiny and small see through
  keypoints or a small tower and read the sentence as one frozen MiniLM vector
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from embodia.builders.families import DINOV2_L, SIGLIP_SO400M, internvl2
from embodia.builders.flow_vla import FlowVlaConfig, flow_policy, flow_vla, small_vla, tiny_vla
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.projector import ProjectorConfig
from embodia.nn.transformer import TransformerConfig
from embodia.parts.compose import Composition, Inference
from embodia.parts.encoders.towers import DualConfig
from embodia.parts.thought import ThoughtConfig

EXPERT = TransformerConfig(
    width=1024,
    depth=24,
    heads=16,
    kv_heads=8,
    head_dim=128,
    mlp_width=2048,
    activation="silu",
    norm="llama",
    rope_theta=1e6,
)


def paper_model() -> FlowVlaConfig:
    """The published sizes, where they are."""
    eye = DualConfig(members=(DINOV2_L, replace(SIGLIP_SO400M, drop=1)))
    vlm = replace(internvl2("2b"), vision=eye, projector=ProjectorConfig(kind="fused"))
    return FlowVlaConfig(vlm=vlm, expert=EXPERT, thought=ThoughtConfig(length=32))


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's. `answers` is what is said of the target before acting."""

    chunk: int = 4
    model: FlowVlaConfig = field(default_factory=paper_model)
    answers: str = "boxes"
    thought_weight: float = 1.0
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 4.8 M with steered keypoints; small 65 M with a small vision tower; paper as published."""
    if size == "paper":
        return Config()
    model = replace((tiny_vla if size == "tiny" else small_vla)(), thought=ThoughtConfig(length=32))
    return Config(chunk=12 if size == "tiny" else 32, model=model, thought_weight=0.2)


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    made = flow_vla(contract, config.chunk, config.model)
    weights = {"thought": config.thought_weight}
    return flow_policy(
        contract,
        config.chunk,
        config.model,
        made,
        statistics,
        answers=config.answers,
        weights=weights,
        inference=config.inference,
    )
