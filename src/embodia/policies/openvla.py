"""OpenVLA: a language model that says a step of action as seven words from the end of its vocabulary.

Title: OpenVLA: An Open-Source Vision-Language-Action Model
Year: 2024
Source: arXiv 2406.09246
Composition: vis.dual(vis.vit dinov2, vis.vit siglip) -> fuse.projector(3 layers) -> bb.vlm(llama 2 7B, causal) ->
  tok.uniform(256) + tok.vocab_map -> head.ar, one id a dimension [train: obj.ce]
Published: 7,541,237,184 parameters; LIBERO 85 / 88 / 79 / 54 %
Ours: 51 % (44-58, n 200) on Desk, tiny: results/zoo/openvla.json; command: embodia bench zoo --policy openvla
Deviations: towers are built without the layers whose output nobody reads; tiny and small say chunks of several steps in
  a table of their own, see the state, and read the sentence as one frozen MiniLM vector; tiny sees through keypoints
  that the sentence steers and estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping

from embodia.builders.families import prismatic_llama2_7b
from embodia.builders.speaking import SpeakerConfig as Config
from embodia.builders.speaking import SpeechConfig, speaker
from embodia.builders.vlm import VlmConfig, small_vlm
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.parts.compose import Composition
from embodia.parts.decoders.autoregressive import TokenConfig
from embodia.parts.encoders.waypoints import END


def preset(size: str) -> Config:
    """tiny 3.6 M with steered keypoints; small 50 M with a small vision tower; paper as published."""
    if size == "tiny":
        return Config(chunk=4, vlm=VlmConfig(), speech=SpeechConfig(ids=128), ahead=(12, 24, 48, END))
    if size == "small":
        return Config(chunk=12, vlm=small_vlm())
    words = SpeechConfig(edges=True, mapped=True, spared=64, tokens=TokenConfig(start=29871, end=2))
    return Config(chunk=1, vlm=prismatic_llama2_7b(), speech=words)


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    return speaker(contract, config, statistics)
