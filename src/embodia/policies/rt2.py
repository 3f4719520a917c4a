"""RT-2: a vision-language model that learns from the web and from robots at once, and says actions as numbers of bins.

Title: RT-2: Vision-Language-Action Models Transfer Web Knowledge to Robotic Control
Year: 2023
Source: arXiv 2307.15818
Composition: vis.vit(22 B) -> bb.vlm(PaLI-X 55B or PaLM-E 12B) -> tok.uniform(256) + tok.vocab_map -> head.ar [train:
  obj.ntp on data.vqa + obj.ce on robot data, co-fine-tuning: a batch mixes both, samples of language have no valid
  action]
Published: 55 B parameters (PaLI-X), 1-3 Hz from a cloud service
Ours: 50 % (43-57, n 200) on Desk, tiny: results/zoo/rt2.json; command: embodia bench zoo --policy rt2
Variants: RT-2-X is this policy at the same size on Open X-Embodiment; RT-2-PaLM-E is 12 B
Deviations: the sizes inside PaLI-X are not published in full: a prefix model of the same total stands in for its
  encoder-decoder; no id ends an episode; tiny and small say chunks of several steps in a table of their own, see the
  state, and read the sentence as one frozen MiniLM vector; tiny sees through keypoints that the sentence steers and
  estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping

from embodia.builders.families import pali_x_55b
from embodia.builders.speaking import SpeakerConfig as Config
from embodia.builders.speaking import SpeechConfig, speaker
from embodia.builders.vlm import VlmConfig, small_vlm
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.parts.compose import Composition
from embodia.parts.encoders.waypoints import END


def preset(size: str) -> Config:
    """tiny 3.6 M with steered keypoints; small 50 M with a small vision tower; paper of the published total."""
    if size == "tiny":
        return Config(vlm=VlmConfig(), speech=SpeechConfig(ids=128), ahead=(12, 24, 48, END))
    if size == "small":
        return Config(vlm=small_vlm())
    return Config(chunk=1, vlm=pali_x_55b(), speech=SpeechConfig(mapped=True))


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    return speaker(contract, config, statistics)
