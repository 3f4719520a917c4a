"""pi0-FAST: PaliGemma says a chunk of actions in the pieces of a compressed signal.

Title: FAST: Efficient Action Tokenization for Vision-Language-Action Models
Year: 2025
Source: arXiv 2501.09747
Composition: bb.vlm(PaliGemma 3B) -> tok.fast(1024 pieces) + tok.vocab_map -> head.ar, the state written into the
  prompt [train: obj.ce]
Published: 2,923,335,408 parameters with tied words; LIBERO 96 / 97 / 89 / 60 %
Ours: 36 % (30-43, n 200) on Desk, tiny: results/zoo/pi0_fast.json; command: embodia bench zoo --policy pi0_fast
Deviations: the table of pieces is fitted on the training data, the public universal one is not shipped; tiny and small
  say actions in a table of their own, see the state as a token and read the sentence as one frozen MiniLM vector; tiny
  sees through keypoints that the sentence steers and estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from embodia.builders.families import paligemma_3b
from embodia.builders.speaking import SpeakerConfig as Config
from embodia.builders.speaking import SpeechConfig, speaker
from embodia.builders.vlm import VlmConfig, small_vlm
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.parts.compose import Composition
from embodia.parts.decoders.autoregressive import TokenConfig
from embodia.parts.encoders.waypoints import END

PROMPT = "Task: {instruction}, State: {state};\n"
WORDS = SpeechConfig(
    kind="fast", ids=1024, mapped=True, spared=128, before="Action: ", mark="|", tokens=TokenConfig(start=-1, end=1)
)
"""Actions as PaliGemma says them: the last piece of the prompt foretells "Action: ", ids follow, "|" closes them."""


def preset(size: str) -> Config:
    """tiny 3.7 M with steered keypoints; small 50 M with a small vision tower; paper as published."""
    if size == "tiny":
        return Config(chunk=12, vlm=VlmConfig(), speech=SpeechConfig(kind="fast", ids=256), ahead=(12, 24, 48, END))
    if size == "small":
        return Config(chunk=32, vlm=small_vlm(), speech=SpeechConfig(kind="fast", ids=512))
    text = replace(paligemma_3b().text, template=PROMPT, end="", length=128)
    return Config(chunk=50, vlm=replace(paligemma_3b(), text=text), speech=WORDS)


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    return speaker(contract, config, statistics)
