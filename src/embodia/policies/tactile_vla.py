"""Tactile-VLA: pi0 whose language model reads what the finger tips felt, beside pictures and words.

Title: Tactile-VLA: Unlocking Vision-Language-Action Model's Physical Knowledge for Tactile Generalization
Year: 2025
Source: arXiv 2507.09160
Composition: vis.vit + txt.bpe + tac.mlp(window of touch -> one token) -> fuse.concat
  -> bb.mot(PaliGemma 3B + action expert 300M) -> head.flow + head.force -> run.control(hybrid) [train: obj.fm]
Published: no parameter count is stated; a 2.6 B language model and a 300 M expert, as pi0
Ours: not yet measured; command: embodia bench zoo --policy tactile_vla
Deviations: a target force is an action part of bodies that take one, so hybrid control is the body's; touch enters by
  its signed logarithm, because it has no statistics; tiny and small see through keypoints or a small tower and read the
  sentence as one frozen MiniLM vector
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from embodia.builders.flow_vla import FlowVlaConfig, flow_policy, flow_vla, small_vla, tiny_vla
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.parts.compose import Composition, Inference
from embodia.parts.encoders.senses import SenseToken, sense_of


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's. `window` steps of pictures, state and touch are read."""

    chunk: int = 50
    window: int = 4
    model: FlowVlaConfig = field(default_factory=FlowVlaConfig)
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 4.4 M with steered keypoints; small 65 M with a small vision tower; paper as published."""
    if size == "tiny":
        return Config(chunk=12, window=2, model=tiny_vla())
    if size == "small":
        return Config(chunk=32, window=2, model=small_vla())
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract. Raises `ConfigError` for a body that cannot feel."""
    width = config.model.vlm.model.width
    touch = SenseToken(sense_of(contract.observation, "touch"), width, config.window, deep=True)
    made = flow_vla(contract, config.chunk, config.model, senses={"touch": touch})
    return flow_policy(
        contract,
        config.chunk,
        config.model,
        made,
        statistics,
        history=config.window,
        inference=config.inference,
    )
