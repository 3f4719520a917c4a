"""TinyVLA: a small vision-language model, no robot pre-training, and a diffusion head on the mean of what it read.

Title: TinyVLA: Towards Fast, Data-Efficient Vision-Language-Action Models for Robotic Manipulation
Year: 2024
Source: arXiv 2409.12514; head as in the public code
Composition: bb.vlm(< 1.4 B) -> pooled feature + prop.linear -> head.diffusion(bb.unet1d) [train: obj.eps, 100 steps]
  [act: DDIM 10 steps]
Published: TinyVLA-H has 1.3 B
Ours: 58 % (51-65, n 200) on Desk, tiny: results/zoo/tinyvla.json; command: embodia bench zoo --policy tinyvla
Deviations: the public model is LLaVA on Pythia; here a model of Llama's family with Pythia 1B's width, depth and number
  of weights a layer stands in its place; it is trained whole, not by low-rank updates; tiny sees through keypoints that
  the sentence steers, reads a frozen MiniLM vector, sees the state as a token too and estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from embodia.builders.diffusion_vla import DiffusionVlaConfig as Config
from embodia.builders.diffusion_vla import composed, diffusion_vla, tiny_vlm
from embodia.builders.families import llava_7b
from embodia.builders.vlm import TextConfig, VlmConfig, small_vlm
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.unet1d import UNetConfig
from embodia.parts.backbones.hub import HubConfig
from embodia.parts.compose import Composition
from embodia.parts.decoders.diffusion import DiffusionConfig
from embodia.parts.encoders.waypoints import END

__all__ = ["Config", "build", "preset"]


def _published() -> VlmConfig:
    text = TextConfig(kind="pieces", vocabulary=50304, first=0, start=-1, head="none")
    model = HubConfig(family="llama", width=2048, depth=16, heads=8, kv_heads=8, mlp_width=5461)
    return replace(llava_7b(), text=text, model=model)


def preset(size: str) -> Config:
    """tiny 4.8 M with steered keypoints; small 80 M; paper TinyVLA-H."""
    if size == "tiny":
        net = UNetConfig(widths=(48, 64, 96), kernel=3, time_width=64)
        return Config(told="mean", vlm=tiny_vlm(), net=net, ahead=(12, 24, 48, END))
    if size == "small":
        return Config(chunk=16, vlm=small_vlm(), told="mean", net=UNetConfig(widths=(128, 256, 512)))
    return Config(chunk=16, vlm=_published(), told="mean", net=UNetConfig(), diffusion=DiffusionConfig())


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    return composed(contract, config, diffusion_vla(contract, config), statistics)
