"""pi0.5: pi0 that reads its state as words and lets time steer every layer of its action expert.

Title: pi0.5: a Vision-Language-Action Model with Open-World Generalization
Year: 2025
Source: arXiv 2504.16054; knowledge insulation: arXiv 2505.23705
Composition: bb.vlm(PaliGemma 3B, prop.text) + bb.mot(action expert 300M, adaptive RMS norms)
  -> head.flow(chunk 50, 10 Euler steps) [train: obj.fm; with insulation obj.insulate]
Published: 3.3 B parameters; 3,353,433,872 with the word embeddings counted once and none in the expert
Ours: not yet measured; command: embodia bench zoo --policy pi05
Deviations: no pretrained weights are shipped; tiny and small read the state as one token of the same 256 bins a text
  would hold and the sentence as one frozen MiniLM vector, see through keypoints or a small tower and do not pad
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.expert import ExpertConfig
from embodia.parts.compose import Composition, Inference
from embodia.parts.flow_vla import GEMMA_TEXT, PALIGEMMA, FlowVlaConfig, flow_policy, flow_vla, small_vla, tiny_vla

ADAPTIVE = ExpertConfig(time="adaptive")
PROMPT = replace(GEMMA_TEXT, length=200, end="", template="Task: {instruction}, State: {state};\nAction: ")
PAPER = FlowVlaConfig(vlm=replace(PALIGEMMA, text=PROMPT), kind=ADAPTIVE, state="text", normalization="quantile")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's."""

    chunk: int = 50
    model: FlowVlaConfig = PAPER
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 3.5 M with steered keypoints; small 65 M with a small vision tower; paper as published."""
    if size == "tiny":
        return Config(chunk=12, model=replace(tiny_vla(kind=ADAPTIVE, state="binned"), normalization="quantile"))
    if size == "small":
        return Config(chunk=32, model=replace(small_vla(kind=ADAPTIVE, state="binned"), normalization="quantile"))
    return Config()


def insulated(config: Config) -> Config:
    """The same with knowledge insulation: no gradient from the actions reaches the language model."""
    return replace(config, model=replace(config.model, insulated=True))


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract. Raises `ConfigError` when the two models cannot share."""
    made = flow_vla(contract, config.chunk, config.model)
    return flow_policy(contract, config.chunk, config.model, made, statistics, inference=config.inference)
