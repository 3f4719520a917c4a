"""NORA: a small open vision-language model that says actions in FAST's pieces.

Title: NORA: A Small Open-Sourced Generalist Vision Language Action Model for Embodied Tasks
Year: 2025
Source: arXiv 2504.19854
Composition: bb.vlm(Qwen2.5-VL 3B) -> tok.fast(FAST+, 2048 pieces behind the vocabulary) -> head.ar [train: obj.ce]
Published: 3 B parameters (3,754,622,976 in the base model); LIBERO 86 / 88 / 77 / 45 %
Ours: not yet measured; command: embodia bench zoo --policy nora
Variants: NORA-long says chunks of five steps (LIBERO 92 / 95 / 89 / 75 %)
Deviations: the table of pieces is fitted on the training data; positions count tokens, not rows and columns of the
  picture; new ids are counted backwards from the end; tiny and small say actions in a table of their own, see the state
  and read the sentence as one frozen MiniLM vector; tiny sees through keypoints that the sentence steers and estimates
  states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from embodia.builders.families import qwen2_5_vl
from embodia.builders.speaking import SpeakerConfig as Config
from embodia.builders.speaking import SpeechConfig, speaker
from embodia.builders.vlm import VlmConfig, small_vlm
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.parts.compose import Composition
from embodia.parts.decoders.autoregressive import TokenConfig
from embodia.parts.encoders.waypoints import END


def preset(size: str) -> Config:
    """tiny 3.6 M with steered keypoints, causal; small 50 M with a small vision tower; paper as published."""
    if size == "tiny":
        speech = SpeechConfig(kind="fast", ids=256)
        return Config(chunk=12, vlm=VlmConfig(causal=True), speech=speech, ahead=(12, 24, 48, END))
    if size == "small":
        return Config(chunk=16, vlm=small_vlm(), speech=SpeechConfig(kind="fast", ids=512))
    base = qwen2_5_vl("3b")
    words = SpeechConfig(kind="fast", ids=2048, mapped=True, tokens=TokenConfig(start=0, end=1))
    return Config(chunk=1, vlm=replace(base, text=replace(base.text, vocabulary=151936 + 2048)), speech=words)


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    return speaker(contract, config, statistics)
