"""ForceVLA: pi0 whose velocity is corrected by experts that weigh what is seen, what was asked and what is felt.

Title: ForceVLA: Enhancing VLA Models with a Force-aware MoE for Contact-rich Manipulation
Year: 2025
Source: arXiv 2505.22159
Composition: pi0-type bb.vlm(PaliGemma 3B) + bb.mot(action expert 300M) + ft.linear
  -> fuse.moe_modality(4 experts, 1 a token) -> head.flow(chunk 50) [train: obj.fm + obj.balance]
Published: no parameter count is stated; pi0's and the fusion block's sizes give 3.3 B
Ours: not yet measured; command: embodia bench zoo --policy forcevla
Deviations: force enters by its signed logarithm, because it has no statistics; experts are kept in use by a small
  balance loss instead of a limit of tokens each; tiny and small see through keypoints or a small tower and read the
  sentence as one frozen MiniLM vector; in tiny two experts a token, not one
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from embodia.builders.flow_vla import FlowVlaConfig, flow_policy, flow_vla, small_vla, tiny_vla
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.parts.compose import Composition, Inference
from embodia.parts.encoders.senses import SenseToken, sense_of
from embodia.parts.fusion.expert_guide import BalancedExperts, ExpertGuide, GuideConfig


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's. `balance` weighs the loss that keeps all experts in use."""

    chunk: int = 50
    model: FlowVlaConfig = field(default_factory=FlowVlaConfig)
    guide: GuideConfig = field(default_factory=GuideConfig)
    balance: float = 0.01
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 4.9 M with steered keypoints; small 70 M with a small vision tower; paper as published."""
    if size == "tiny":
        return Config(chunk=12, model=tiny_vla(), guide=GuideConfig(heads=4, hidden=96, top=2))
    if size == "small":
        return Config(chunk=32, model=small_vla())
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights. Raises `ConfigError` for a body that feels no force at its wrist."""
    width = config.model.vlm.model.width
    read = ("image", "language", "wrench") if contract.observation.language else ("image", "wrench")
    guide = ExpertGuide(config.guide, read, width, config.model.expert.width, config.chunk)
    wrench = SenseToken(sense_of(contract.observation, "wrench"), width)
    made = flow_vla(contract, config.chunk, config.model, beside={"wrench": wrench}, guide=guide, outputs=True)
    return flow_policy(
        contract,
        config.chunk,
        config.model,
        made,
        statistics,
        heads={"balance": BalancedExperts(guide)},
        weights={"balance": config.balance},
        inference=config.inference,
    )
