"""ChatVLA-2: every token chooses its experts, the model reasons in words, and the reasoning steers the diffusion head.

Title: Vision-Language-Action Model with Open-World Embodied Reasoning from Pretrained Knowledge
Year: 2025
Source: arXiv 2505.21906
Composition: bb.vlm(qwen2-vl 2B) with bb.moe_dyn(8, top-2; obj.balance) -> obj.ntp reasoning -> fuse.reason_film ->
  head.diffusion [data: data.cot math, placement]
Published: no parameter count
Ours: not yet measured; command: embodia bench zoo --policy chatvla2
Deviations: all layers have all experts, none is shared by all tokens; reasoning modulates what the head is told once,
  not every layer of the head; Qwen2-VL's layers have no biases here; tiny has four experts, says one short line and
  sees through keypoints that the sentence steers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from embodia.builders.diffusion_vla import DiffusionVlaConfig as Config
from embodia.builders.diffusion_vla import composed, diffusion_vla
from embodia.builders.families import QWEN2_2B, qwen2_vl
from embodia.builders.vlm import VlmConfig, small_vlm
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.mixture import MixtureConfig
from embodia.nn.transformer import TransformerConfig
from embodia.parts.compose import Composition
from embodia.parts.decoders.diffusion import DiffusionConfig
from embodia.parts.decoders.dit import DitConfig
from embodia.parts.encoders.waypoints import END
from embodia.parts.thought import ThoughtConfig

__all__ = ["Config", "build", "preset"]

BALANCE = {"balance": 0.01, "foresight": 0.5}


def preset(size: str) -> Config:
    """tiny 5 M with steered keypoints; small 100 M; paper on Qwen2-VL 2B with eight experts a layer."""
    if size == "tiny":
        base = TransformerConfig(width=192, depth=3, heads=4, kv_heads=4, head_dim=48, mlp_width=96)
        vlm = VlmConfig(model=MixtureConfig(base=base, mixture="routed", experts=4))
        net, thought = DitConfig(width=128, depth=3, heads=4), ThoughtConfig(length=24)
        ahead = (12, 24, 48, END)
        return Config(told="mean", vlm=vlm, net=net, thought=thought, answers="brief", ahead=ahead, weights=BALANCE)
    net, thought = DitConfig(width=512, depth=8, heads=8), ThoughtConfig(length=160)
    diffusion = DiffusionConfig()
    base = TransformerConfig(width=512, depth=10, heads=8, kv_heads=2, head_dim=64, mlp_width=1024)
    vlm = replace(small_vlm(), model=MixtureConfig(base=base, mixture="routed", experts=8))
    if size == "paper":
        vlm = replace(qwen2_vl("2b"), model=MixtureConfig(base=QWEN2_2B, mixture="routed", experts=8))
        net = DitConfig(width=1024, depth=24, heads=16)
    return Config(
        chunk=16,
        told="mean",
        vlm=vlm,
        net=net,
        diffusion=diffusion,
        thought=thought,
        answers="reasoning",
        weights=BALANCE,
    )


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    return composed(contract, config, diffusion_vla(contract, config), statistics)
