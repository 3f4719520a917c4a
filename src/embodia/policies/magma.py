"""Magma: one model for screens and robots, taught to name marks in pictures and to trace where they go.

Title: Magma: A Foundation Model for Multimodal AI Agents
Year: 2025
Source: arXiv 2502.13130
Composition: vis.convnext(XXL) -> bb.vlm(llama 3 8B) -> tok.uniform(256) + tok.vocab_map -> head.ar, with Set-of-Mark
  and Trace-of-Mark as texts beside the action [train: obj.ntp + obj.ce; data.vqa, data.video]
Published: 8 B parameters in the language model, 0.85 B in the eye
Ours: not yet measured; command: embodia bench zoo --policy magma
Deviations: marks are the boxes of all things in words, learned beside the action and not said before it; traces of
  video are not drawn; thoughts of tiny and small are spelled with a closed list of words beside bytes. tiny and small
  say chunks of several steps in a table of their own, see the state, and read the sentence as one frozen MiniLM vector;
  tiny sees through keypoints that the sentence steers and estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping

from embodia.builders.families import magma_8b
from embodia.builders.speaking import SpeakerConfig as Config
from embodia.builders.speaking import SpeechConfig, speaker
from embodia.builders.vlm import small_vlm
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.parts.compose import Composition
from embodia.parts.decoders.autoregressive import TokenConfig
from embodia.parts.encoders.waypoints import END
from embodia.parts.thought import ThoughtConfig

MARKS = ThoughtConfig(length=96, drop=1.0, silent=True)
"""Learned, never read by the action."""


def preset(size: str) -> Config:
    """tiny 3.9 M with steered keypoints; small 50 M with a small vision tower; paper as published."""
    if size == "tiny":
        return Config(
            thought=MARKS, answers="boxes", thought_weight=0.2, speech=SpeechConfig(ids=128), ahead=(12, 24, 48, END)
        )
    if size == "small":
        return Config(vlm=small_vlm(), thought=MARKS, answers="boxes")
    words = SpeechConfig(mapped=True, tokens=TokenConfig(start=0, end=1))
    return Config(chunk=1, vlm=magma_8b(), speech=words, thought=MARKS, answers="boxes")


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    return speaker(contract, config, statistics)
