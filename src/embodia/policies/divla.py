"""DiffusionVLA: the model reasons in words first, the words scale and shift what a diffusion head is told.

Title: DiffusionVLA: Generalizable and Interpretable Robot Foundation Model via Self-Generated Reasoning
Year: 2024
Source: arXiv 2412.03293
Composition: bb.vlm(qwen2-vl 2B) -> text reasoning (obj.ntp) -> fuse.reason_film -> head.diffusion
  [train: obj.ntp + obj.eps] [act: DDIM 10 steps]
Published: 2 B, 7 B and 72 B name the language models inside
Variants: DiVLA is its short name; DiVLA-7B by `Config.vlm`
Ours: not yet measured; command: embodia bench zoo --policy divla
Deviations: the head is a U-Net on the mean of what was read and the raw state, as in TinyVLA's public code; the model
  is trained whole; tiny says one short line, sees through keypoints that the sentence steers, and reads a frozen MiniLM
  vector.
"""

from __future__ import annotations

from collections.abc import Mapping

from embodia.builders.diffusion_vla import DiffusionVlaConfig as Config
from embodia.builders.diffusion_vla import composed, diffusion_vla, tiny_vlm
from embodia.builders.families import qwen2_vl
from embodia.builders.vlm import small_vlm
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.unet1d import UNetConfig
from embodia.parts.compose import Composition
from embodia.parts.decoders.diffusion import DiffusionConfig
from embodia.parts.encoders.waypoints import END
from embodia.parts.thought import ThoughtConfig

__all__ = ["Config", "build", "preset"]


def preset(size: str) -> Config:
    """tiny 4.9 M with steered keypoints; small 80 M; paper on Qwen2-VL 2B."""
    long = ThoughtConfig(length=160)
    if size == "tiny":
        net = UNetConfig(widths=(48, 64, 96), kernel=3, time_width=64)
        return Config(
            told="mean",
            vlm=tiny_vlm(3),
            net=net,
            thought=ThoughtConfig(length=24),
            answers="brief",
            ahead=(12, 24, 48, END),
        )
    if size == "small":
        net = UNetConfig(widths=(128, 256, 512))
        return Config(chunk=16, vlm=small_vlm(), told="mean", net=net, thought=long, answers="reasoning")
    net, diffusion = UNetConfig(), DiffusionConfig()
    return Config(
        chunk=16,
        vlm=qwen2_vl("2b"),
        told="mean",
        net=net,
        diffusion=diffusion,
        thought=long,
        answers="reasoning",
        weights={"denoise": 10.0},
    )


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    return composed(contract, config, diffusion_vla(contract, config), statistics)
