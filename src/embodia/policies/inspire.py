"""InSpire: first answers in which direction the thing lies from the robot, then acts.

Title: InSpire: Vision-Language-Action Models with Intrinsic Spatial Reasoning
Year: 2025
Source: arXiv 2505.13888
Composition: an autoregressive VLA + data.cot(relation: right, left, up, down, front, back, grasped) -> thought ->
  tok.uniform -> head.ar [train: obj.ntp + obj.ce]
Published: gains of 6.2 % on seen tasks and 10 % on unseen ones over MiniVLA, which has about 1 B parameters
Ours: not yet measured; command: embodia bench zoo --policy inspire
Deviations: the question is part of the prompt in the paper size alone; the base is a Prismatic model on Qwen2.5 0.5B;
  thoughts of tiny and small are spelled with a closed list of words beside bytes. tiny and small say chunks of several
  steps in a table of their own, see the state, and read the sentence as one frozen MiniLM vector; tiny sees through
  keypoints that the sentence steers and estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from embodia.builders.families import prismatic_qwen_half_b
from embodia.builders.speaking import SpeakerConfig as Config
from embodia.builders.speaking import SpeechConfig, speaker
from embodia.builders.vlm import small_vlm
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.parts.compose import Composition
from embodia.parts.decoders.autoregressive import TokenConfig
from embodia.parts.encoders.waypoints import END
from embodia.parts.thought import ThoughtConfig


def preset(size: str) -> Config:
    """tiny 3.9 M with steered keypoints; small 50 M with a small vision tower; paper about as published."""
    if size == "tiny":
        return Config(
            thought=ThoughtConfig(length=8), answers="relation", speech=SpeechConfig(ids=128), ahead=(12, 24, 48, END)
        )
    if size == "small":
        return Config(vlm=small_vlm(), thought=ThoughtConfig(length=12), answers="relation")
    base = prismatic_qwen_half_b()
    asked = "In which direction is the object relative to the robot? {instruction}"
    words = SpeechConfig(mapped=True, tokens=TokenConfig(start=0, end=1))
    vlm = replace(base, text=replace(base.text, template=asked, length=128))
    return Config(chunk=1, vlm=vlm, speech=words, thought=ThoughtConfig(length=16), answers="relation")


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    return speaker(contract, config, statistics)
