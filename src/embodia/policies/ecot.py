"""ECoT: reasons in words before every action: plan, sub-task, motion, places of gripper and objects.

Title: Robotic Control via Embodied Chain-of-Thought Reasoning
Year: 2024
Source: arXiv 2407.08693
Composition: OpenVLA + data.cot(task, plan, sub-task, move, gripper position, boxes) -> thought -> tok.uniform ->
  head.ar [train: obj.ntp + obj.ce]
Published: 7,541,237,184 parameters, those of OpenVLA
Ours: 54 % (47-60, n 200) on Desk, tiny: results/zoo/ecot.json; command: embodia bench zoo --policy ecot
Variants: ECoT-Lite (arXiv 2505.08243) leaves the reasoning of some samples out in training (thought.drop) and may act
  without it (thought.silent); Fast ECoT (arXiv 2506.07639, delay 7.5 % less, 7.5 times less in a later version; LIBERO
  80 % in a survey, unconfirmed) repeats the last thought for some decisions (inference.think_every)
Deviations: tiny learns the short text, sub-task and move; Fast ECoT thinks again at fixed intervals, not in the
  background; thoughts of tiny and small are spelled with a closed list of words beside bytes. tiny and small say chunks
  of several steps in a table of their own, see the state, and read the sentence as one frozen MiniLM vector; tiny sees
  through keypoints that the sentence steers and estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping

from embodia.builders.families import prismatic_llama2_7b
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
    """tiny 3.9 M with steered keypoints; small 50 M with a small vision tower; paper as published."""
    if size == "tiny":
        return Config(
            thought=ThoughtConfig(length=24), answers="brief", speech=SpeechConfig(ids=128), ahead=(12, 24, 48, END)
        )
    if size == "small":
        return Config(vlm=small_vlm(), thought=ThoughtConfig(length=160), answers="reasoning")
    words = SpeechConfig(edges=True, mapped=True, spared=64, tokens=TokenConfig(start=29871, end=2))
    return Config(
        chunk=1, vlm=prismatic_llama2_7b(), speech=words, thought=ThoughtConfig(length=1024), answers="reasoning"
    )


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    return speaker(contract, config, statistics)
