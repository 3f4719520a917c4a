"""OpenVLA-OFT: OpenVLA that fills a whole chunk in one pass and writes it as numbers, not words.

Title: Fine-Tuning Vision-Language-Action Models: Optimizing Speed and Success
Year: 2025
Source: arXiv 2502.19645
Composition: OpenVLA's eyes on all cameras + fuse.concat(prop.linear) -> bb.vlm(llama 2 7B, full attention) ->
  head.parallel(a placeholder for each number) -> head.regress(L1), act.chunk 8 [train: obj.reg]
Published: LIBERO 98 / 98 / 98 / 95 %, 26 times OpenVLA's throughput; no parameter count
Ours: 76 % (70-82, n 200) on Desk, tiny: results/zoo/openvla_oft.json; command: embodia bench zoo --policy openvla_oft
Variants: OFT+ by `oft_plus()`: chunk 25, the mean of the words scales and shifts every layer of the eyes (FiLM);
  the diffusion head by `denoising()`
Deviations: OFT+ averages no padding; tiny and small read the sentence as one frozen MiniLM vector; tiny sees through
  keypoints that the sentence steers and estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from embodia.builders.families import prismatic_llama2_7b
from embodia.builders.reading import ReaderConfig as Config
from embodia.builders.reading import reader
from embodia.builders.vlm import small_vlm
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.parts.compose import Composition
from embodia.parts.decoders.diffusion import DiffusionConfig
from embodia.parts.decoders.readout import ReadoutConfig
from embodia.parts.encoders.waypoints import END


def preset(size: str) -> Config:
    """tiny 3.8 M with steered keypoints, a placeholder a step; small 50 M with a small tower; paper as published."""
    if size == "tiny":
        return Config(places="one", ahead=(12, 24, 48, END))
    if size == "small":
        return Config(vlm=small_vlm(), readout=ReadoutConfig(hidden=512))
    vlm = replace(prismatic_llama2_7b(), state="token", deep=True, causal=False)
    return Config(chunk=8, vlm=vlm, readout=ReadoutConfig(hidden=4096), spelled=(29871, 2))


def oft_plus() -> Config:
    """The variant for ALOHA, with the sentence inside the eyes."""
    paper = preset("paper")
    return replace(paper, chunk=25, vlm=replace(paper.vlm, film=True))


def denoising() -> Config:
    """The published alternative to regression: noise is removed from the placeholders in fifty steps."""
    return replace(preset("paper"), noise=DiffusionConfig(train_steps=50, sample_steps=50))


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    return reader(contract, config, statistics)
