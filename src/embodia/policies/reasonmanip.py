"""ReasonManip: derives the next pose in words and numbers, in a dialogue, without any head for actions.

Title: Incentivizing Multimodal Reasoning in Large Models for Direct Robot Manipulation
Year: 2025
Source: arXiv 2505.12744
Composition: bb.vlm 7B -> thought (state of parts and gripper, derivation) -> tok.text pose, rotation as axes ->
  head.ar [train: obj.ntp then obj.pg in simulation]
Published: 7 B parameters (8,292,166,656 in a Qwen2.5-VL 7B)
Ours: not yet measured; command: embodia bench zoo --policy reasonmanip
Deviations: one round of dialogue a decision; which 7 B model is not said in the summary read, Qwen2.5-VL is taken; a
  pose is the action of the contract, its axes being those of the contract; reinforcement is post_training; thoughts of
  tiny and small are spelled with a closed list of words beside bytes. tiny and small write numbers in a table of their
  own characters, see the state as a token, and read the sentence as one frozen MiniLM vector; tiny sees through
  keypoints that the sentence steers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from embodia.builders.families import qwen2_5_vl
from embodia.builders.speaking import SpeakerConfig as Config
from embodia.builders.speaking import SpeechConfig, speaker
from embodia.builders.vlm import small_vlm
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.parts.compose import Composition
from embodia.parts.encoders.waypoints import END
from embodia.parts.thought import ThoughtConfig

NUMBERS = SpeechConfig(kind="numbers", precision=2)


def preset(size: str) -> Config:
    """tiny 3.8 M with steered keypoints; small 50 M with a small vision tower; paper about as published."""
    if size == "tiny":
        return Config(
            chunk=4, thought=ThoughtConfig(length=24), answers="relation", speech=NUMBERS, ahead=(12, 24, 48, END)
        )
    if size == "small":
        return Config(chunk=4, vlm=small_vlm(), thought=ThoughtConfig(length=96), answers="reasoning", speech=NUMBERS)
    base = qwen2_5_vl("7b")
    vlm = replace(base, text=replace(base.text, template="{instruction} State: {state}", length=256))
    words = replace(NUMBERS, mapped=True, spared=0, precision=3)
    return Config(chunk=1, vlm=vlm, speech=words, thought=ThoughtConfig(length=512), answers="reasoning")


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    return speaker(contract, config, statistics)
