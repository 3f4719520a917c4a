"""RT-H: first says in words how the arm will move, then moves; a person can correct the words.

Title: RT-H: Action Hierarchies Using Language
Year: 2024
Source: arXiv 2403.01823
Composition: bb.vlm(task -> language motion, link.text) -> the same bb.vlm -> tok.uniform -> head.ar [train: obj.ntp +
  obj.ce]
Published: 55 B parameters, the base being PaLI-X
Ours: 42 % (35-49, n 200) on Desk, tiny: results/zoo/rt_h.json; command: embodia bench zoo --policy rt_h
Variants: a correction by a person is a carry whose thought holds the corrected words
Deviations: motion and action are two queries in the paper and one reading here, the motion's words being in the cache;
  the size is RT-2's stand-in; thoughts of tiny and small are spelled with a closed list of words beside bytes. tiny and
  small say chunks of several steps in a table of their own, see the state, and read the sentence as one frozen MiniLM
  vector; tiny sees through keypoints that the sentence steers and estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping

from embodia.builders.families import pali_x_55b
from embodia.builders.speaking import SpeakerConfig as Config
from embodia.builders.speaking import SpeechConfig, speaker
from embodia.builders.vlm import small_vlm
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.parts.compose import Composition
from embodia.parts.encoders.waypoints import END
from embodia.parts.thought import ThoughtConfig


def preset(size: str) -> Config:
    """tiny 3.9 M with steered keypoints; small 50 M with a small vision tower; paper of the published total."""
    if size == "tiny":
        return Config(
            thought=ThoughtConfig(length=16), answers="motion", speech=SpeechConfig(ids=128), ahead=(12, 24, 48, END)
        )
    if size == "small":
        return Config(vlm=small_vlm(), thought=ThoughtConfig(length=32), answers="motion")
    thought = ThoughtConfig(length=48)
    return Config(chunk=1, vlm=pali_x_55b(), speech=SpeechConfig(mapped=True), thought=thought, answers="motion")


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    return speaker(contract, config, statistics)
