"""ChatVLA: experts for acting and for talking behind shared attention, so that learning to act leaves speech alone.

Title: ChatVLA: Unified Multimodal Understanding and Robot Control with Vision-Language-Action Model
Year: 2025
Source: arXiv 2502.14420; experts and head as in the public code
Composition: bb.vlm(qwen2-vl 2B) with bb.moe_static (robot expert, understanding expert, shared attention) ->
  head.diffusion(bb.dit, ScaleDP-L) [train: robot first, then co-train obj.ntp]
Published: 2 B names the language model inside
Ours: 34 % (28-41, n 200) on Desk, tiny: results/zoo/chatvla.json; command: embodia bench zoo --policy chatvla
Deviations: what a token is for chooses its expert - words that are said take the understanding expert, all that is
  sensed the robot expert - not the data set a sample comes from; Qwen2-VL's layers have no biases here; phases are a
  matter of training recipes; tiny says one short line and sees through keypoints that the sentence steers.
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


def preset(size: str) -> Config:
    """tiny 5 M with steered keypoints; small 90 M; paper on Qwen2-VL 2B with a DiT of 24 layers."""
    if size == "tiny":
        base = TransformerConfig(width=192, depth=3, heads=4, kv_heads=4, head_dim=48, mlp_width=192)
        net, thought = DitConfig(width=128, depth=3, heads=4), ThoughtConfig(length=24)
        vlm = VlmConfig(model=MixtureConfig(base=base, mixture="static"))
        return Config(told="mean", vlm=vlm, net=net, thought=thought, answers="brief", ahead=(12, 24, 48, END))
    net, thought = DitConfig(width=512, depth=8, heads=8), ThoughtConfig(length=160)
    if size == "small":
        base = TransformerConfig(width=512, depth=10, heads=8, kv_heads=2, head_dim=64, mlp_width=2048)
        vlm = replace(small_vlm(), model=MixtureConfig(base=base, mixture="static"))
        return Config(chunk=16, told="mean", vlm=vlm, net=net, thought=thought, answers="reasoning")
    return Config(
        chunk=16,
        told="mean",
        vlm=replace(qwen2_vl("2b"), model=MixtureConfig(base=QWEN2_2B, mixture="static")),
        net=DitConfig(width=1024, depth=24, heads=16),
        diffusion=DiffusionConfig(),
        thought=thought,
        answers="reasoning",
    )


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    return composed(contract, config, diffusion_vla(contract, config), statistics)
