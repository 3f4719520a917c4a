"""VTLA: sees and feels, and writes the next step of an insertion as numbers; preferences make it exact.

Title: VTLA: Vision-Tactile-Language-Action Model with Preference Learning for Insertion Manipulation
Year: 2025
Source: arXiv 2505.09577
Composition: tac.image + vis.vit + txt.prompt -> bb.vlm(Qwen2-VL 7B) -> tok.text -> head.ar [train: obj.ntp, then
  obj.pref(DPO)]
Published: over 90 % on unseen pegs; 7 B parameters
Ours: not yet measured; command: embodia bench zoo --policy vtla
Variants: TLA (arXiv 2503.08548) feels without seeing: the same policy for a contract whose pictures are those of its
  pads; over 85 % on unseen pegs
Deviations: pads go through a small stem of their own, not through the vision tower; without pads in the contract it
  sees alone; preference learning is post_training; tiny and small write numbers in a table of characters, see the state
  and read the sentence as one frozen MiniLM vector; tiny sees through keypoints that the sentence steers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import nn

from embodia.builders.families import qwen2_vl
from embodia.builders.speaking import SpeakerConfig as Config
from embodia.builders.speaking import SpeechConfig, speaker
from embodia.builders.vlm import small_vlm
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.parts.compose import Composition
from embodia.parts.encoders.touch import TouchImage
from embodia.parts.encoders.waypoints import END

NUMBERS = SpeechConfig(kind="numbers", precision=2)


def preset(size: str) -> Config:
    """tiny 3.7 M with steered keypoints; small 50 M with a small vision tower; paper as published."""
    if size == "tiny":
        return Config(chunk=4, speech=NUMBERS, ahead=(12, 24, 48, END))
    if size == "small":
        return Config(chunk=4, vlm=small_vlm(), speech=NUMBERS)
    return Config(chunk=1, vlm=qwen2_vl("7b"), speech=replace(NUMBERS, mapped=True))


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    felt: dict[str, nn.Module] = {}
    if contract.observation.sense("touch") is not None:
        felt["touch"] = TouchImage(contract.observation, config.vlm.model.width)
    return speaker(contract, config, statistics, felt)
