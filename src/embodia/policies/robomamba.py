"""RoboMamba: a state-space language model that reasons, and a very small head that reads the pose off its end.

Title: RoboMamba: Efficient Vision-Language-Action Model for Robotic Reasoning and Manipulation
Year: 2024
Source: arXiv 2406.04339
Composition: vis.vit(clip) -> fuse.projector -> bb.mamba(2.8 B) -> head.regress(pose; 0.1 % of all weights) [train:
  obj.ntp co-training, then obj.reg with everything else frozen]
Published: 0.1 % of the weights, 3.7 M, are in the head; no total
Ours: not yet measured; command: embodia bench zoo --policy robomamba
Deviations: a learned token at the end is what the head reads; reasoning in words before the action is not said; tiny
  and small learn whole, see the state and read the sentence as one frozen MiniLM vector; tiny sees through keypoints
  that the sentence steers and estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from embodia.builders.families import mamba_2_8b
from embodia.builders.reading import ReaderConfig as Config
from embodia.builders.reading import reader
from embodia.builders.vlm import VlmConfig, small_vlm
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.parts.backbones.mamba import MambaConfig
from embodia.parts.compose import Composition
from embodia.parts.decoders.readout import ReadoutConfig
from embodia.parts.encoders.waypoints import END


def preset(size: str) -> Config:
    """tiny 3 M with steered keypoints; small 50 M with a small vision tower; paper as published."""
    if size == "tiny":
        vlm = VlmConfig(model=MambaConfig(width=192, depth=3), causal=True)
        return Config(vlm=vlm, places="last", ahead=(12, 24, 48, END))
    if size == "small":
        return Config(vlm=replace(small_vlm(), model=MambaConfig(width=512, depth=12), causal=True), places="last")
    head = ReadoutConfig(hidden=1280, blocks=0)
    return Config(chunk=1, vlm=mamba_2_8b(), places="last", readout=head, frozen=True)


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    return reader(contract, config, statistics)
