"""pi0.5: pi0 that reads its state as words and lets time steer every layer of its action expert.

Title: pi0.5: a Vision-Language-Action Model with Open-World Generalization
Year: 2025
Source: arXiv 2504.16054; knowledge insulation: arXiv 2505.23705
Composition: bb.vlm(PaliGemma 3B, prop.text) -> link.text(sub-task) + bb.mot(action expert 300M, adaptive RMS norms)
  -> head.flow(chunk 50, 10 Euler steps) [train: obj.fm + obj.ntp; knowledge insulation: obj.insulate + tok.fast obj.ce]
Published: 3.3 B parameters; 3,353,433,872 with the word embeddings counted once and none in the expert
Ours: 56 % (50-63, n 200) on Desk, tiny: results/zoo/pi05.json; command: embodia bench zoo --policy pi05; LeRobot's
  numbers with its weights: see results/parity_pi05.json
Deviations: no pretrained weights are shipped; one prompt serves sub-task and actions; tiny and small read the state as
  one token of the same 256 bins a text would hold and the sentence as one frozen MiniLM vector, say sub-tasks in a
  small table of words, see through keypoints or a small tower and do not pad
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from embodia.builders.flow_vla import GEMMA_TEXT, PALIGEMMA, FlowVlaConfig, flow_policy, flow_vla, small_vla, tiny_vla
from embodia.builders.speaking import SpeechConfig
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.expert import ExpertConfig
from embodia.parts.compose import Composition, Inference
from embodia.parts.thought import ThoughtConfig

ADAPTIVE = ExpertConfig(time="adaptive")
PROMPT = replace(GEMMA_TEXT, length=200, end="", template="Task: {instruction}, State: {state};\nAction: ")
PAPER = FlowVlaConfig(
    vlm=replace(PALIGEMMA, text=PROMPT),
    kind=ADAPTIVE,
    state="text",
    thought=ThoughtConfig(length=48),
    normalization="quantile",
)
FAST = SpeechConfig(kind="fast", ids=1024)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's. `thought_weight` is that of saying the sub-task."""

    chunk: int = 50
    model: FlowVlaConfig = PAPER
    answers: str = "subtask"
    thought_weight: float = 1.0
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 5 M with steered keypoints; small 70 M with a small vision tower; paper as published."""
    if size == "paper":
        return Config()
    model = (tiny_vla if size == "tiny" else small_vla)(kind=ADAPTIVE, state="binned")
    said = ThoughtConfig(length=16)
    return Config(
        chunk=12 if size == "tiny" else 32,
        model=replace(model, thought=said, normalization="quantile"),
        thought_weight=0.2,
    )


def insulated(config: Config) -> Config:
    """The same with knowledge insulation: no gradient of the flow reaches the reader, which learns to say actions."""
    return replace(config, model=replace(config.model, insulated=True, knowledge=FAST))


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract. Raises `ConfigError` when the two models cannot share."""
    made = flow_vla(contract, config.chunk, config.model)
    return flow_policy(
        contract,
        config.chunk,
        config.model,
        made,
        statistics,
        answers=config.answers,
        weights={"thought": config.thought_weight},
        inference=config.inference,
    )
