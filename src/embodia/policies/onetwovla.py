"""OneTwoVLA: one model that thinks and acts, and decides by itself at every step which of the two is due.

Title: OneTwoVLA: A Unified Vision-Language-Action Model with Adaptive Reasoning
Year: 2025
Source: arXiv 2505.11917
Composition: pi0-type bb.mot(PaliGemma 3B + action expert 300M) + txt.prompt [think]/[act] -> head.ar text or
  head.flow(chunk 50) -> tt.think_switch [train: obj.ntp + obj.fm; data.cot]
Published: no parameter count is stated; pi0's
Ours: not yet measured; command: embodia bench zoo --policy onetwovla
Deviations: the decision is a learned token's, not two words of the vocabulary; it learns on recalled thoughts that hold
  and that do not, because frames are trained apart; tiny and small think the sub-task alone, see through keypoints or a
  small tower and read the sentence as one frozen MiniLM vector
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from embodia.builders.flow_vla import FlowVlaConfig, flow_policy, flow_vla, small_vla, tiny_vla
from embodia.core.errors import ConfigError
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.parts.adaptive_thought import ALWAYS, AdaptiveThought
from embodia.parts.compose import Composition, Inference
from embodia.parts.thought import ThoughtConfig


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's. `answers` is the kind of text that is thought."""

    chunk: int = 50
    model: FlowVlaConfig = field(default_factory=lambda: FlowVlaConfig(thought=ThoughtConfig(length=256)))
    answers: str = "reasoning"
    thought_weight: float = 1.0
    switch_weight: float = 0.1
    inference: Inference = field(default_factory=lambda: Inference(think_every=ALWAYS))


def preset(size: str) -> Config:
    """tiny 4.8 M with steered keypoints; small 65 M with a small vision tower; paper as published."""
    if size == "paper":
        return Config()
    model = replace((tiny_vla if size == "tiny" else small_vla)(), thought=ThoughtConfig(length=16))
    return Config(chunk=12 if size == "tiny" else 32, model=model, answers="subtask", thought_weight=0.2)


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract. Raises `ConfigError` when there is nothing to think."""
    made = flow_vla(contract, config.chunk, config.model)
    if made.thought is None:
        raise ConfigError("a policy that decides when to think needs a thought", leaf="model.thought")
    return flow_policy(
        contract,
        config.chunk,
        config.model,
        made,
        statistics,
        thought=AdaptiveThought(made.thought, config.model.vlm.model.width),
        answers=config.answers,
        weights={"thought": config.thought_weight, "switch": config.switch_weight},
        inference=config.inference,
    )
