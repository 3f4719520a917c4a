"""GR-3: a large vision-language model, and a diffusion transformer that reads the later half of its cache.

Title: GR-3 Technical Report
Year: 2025
Source: arXiv 2507.15493
Composition: bb.vlm(Qwen2.5-VL 3B) -> link.kv(later half of the layers) -> bb.dit(RMS norms inside, adaptive)
  -> head.flow [train: obj.fm on robot + human hand data; obj.ntp on data.vqa]
Published: 4 B parameters; the sizes of the action transformer are not stated
Ours: 66 % (59-72, n 200) on Desk, tiny: results/zoo/gr3.json; command: embodia bench zoo --policy gr3
Deviations: the task's status is not one more action; pictures' rows and columns are not turned apart; norms inside the
  action transformer stand at queries, keys and the end of every branch; tiny and small see through keypoints or a small
  tower and read the sentence as one frozen MiniLM vector
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from embodia.builders.families import qwen2_5_vl
from embodia.builders.flow_vla import FlowVlaConfig, flow_policy, small_vla, tiny_vla
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.expert import ExpertConfig
from embodia.nn.transformer import TransformerConfig
from embodia.parts.compose import Composition, Inference

CALM = ExpertConfig(time="adaptive", query_norm=True, reads="last")
DIT = TransformerConfig(
    width=1024,
    depth=18,
    heads=16,
    kv_heads=2,
    head_dim=128,
    mlp_width=2560,
    activation="silu",
    norm="llama",
    rope_theta=1e6,
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's where it states them."""

    chunk: int = 50
    model: FlowVlaConfig = field(
        default_factory=lambda: FlowVlaConfig(vlm=qwen2_5_vl("3b"), expert=DIT, kind=CALM, within="causal")
    )
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 4.2 M with steered keypoints; small 65 M with a small vision tower; paper as published."""
    if size == "paper":
        return Config()
    model = (tiny_vla if size == "tiny" else small_vla)(kind=CALM, within="causal")
    halved = replace(model, expert=replace(model.expert, depth=model.expert.depth // 2))
    return Config(chunk=12 if size == "tiny" else 32, model=halved)


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract. Raises `ConfigError` when cache and expert do not fit."""
    return flow_policy(contract, config.chunk, config.model, None, statistics, inference=config.inference)
