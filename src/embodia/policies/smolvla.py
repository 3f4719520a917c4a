"""SmolVLA: half of a small vision-language model and an expert that alternates between looking back and looking around.

Title: SmolVLA: A Vision-Language-Action Model for Affordable and Efficient Robotics
Year: 2025
Source: arXiv 2506.01844
Composition: vis.vit(SigLIP base, 512 pixels) + fuse.projector(pixel shuffle, 64 tokens) + prop.linear
  -> bb.vlm(SmolVLM2 500M, first 16 of 32 layers) -> bb.causal expert(fuse.xattn every second layer)
  -> head.flow(chunk 50, 10 Euler steps) [train: obj.fm]
Published: 450 M parameters; 450,046,176 in the public class, of which 47,308,800 are a language head that stays silent
Ours: 48 % (42-55, n 200) on Desk, tiny: results/zoo/smolvla.json; command: embodia bench zoo --policy smolvla;
  LeRobot's numbers with its weights: see results/parity_smolvla.json
Deviations: no pretrained weights are shipped, so all of it is trained and not the expert alone; what no action loss
  reaches, the language head and most of the last layer, is frozen; tiny and small see through keypoints or a small
  tower, do not pad and read the sentence as one frozen MiniLM vector
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from embodia.builders.families import smolvlm2_half_b
from embodia.builders.flow_vla import FlowVlaConfig, flow_policy, small_vla, tiny_vla
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.expert import ExpertConfig
from embodia.nn.transformer import TransformerConfig
from embodia.parts.compose import Composition, Inference

INTERLEAVED = ExpertConfig(self_every=2)
LLAMA = {"depth": 16, "heads": 15, "kv_heads": 5, "head_dim": 64, "activation": "silu", "norm": "llama"}
PREFIX = TransformerConfig(width=960, mlp_width=2560, epsilon=1e-5, **LLAMA)  # type: ignore[arg-type]
EXPERT = TransformerConfig(width=720, mlp_width=2048, epsilon=1e-5, **LLAMA)  # type: ignore[arg-type]


READER = smolvlm2_half_b(16)
VLM = replace(READER, model=PREFIX, causal=False, text=replace(READER.text, scale=0.0))
PAPER = FlowVlaConfig(vlm=VLM, expert=EXPERT, state="prefix", kind=INTERLEAVED, within="causal")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's."""

    chunk: int = 50
    model: FlowVlaConfig = PAPER
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 3.2 M with steered keypoints; small 55 M with a small vision tower; paper as published."""
    if size == "tiny":
        return Config(chunk=12, model=tiny_vla(kind=INTERLEAVED, state="prefix", within="causal"))
    if size == "small":
        return Config(chunk=32, model=small_vla(kind=INTERLEAVED, state="prefix", within="causal"))
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract. Raises `ConfigError` when the two models cannot share."""
    return flow_policy(contract, config.chunk, config.model, None, statistics, inference=config.inference)
