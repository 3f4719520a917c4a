"""TraceVLA: beside the picture the model sees a second one, with the paths drawn on it that things just took.

Title: TraceVLA: Visual Trace Prompting Enhances Spatial-Temporal Awareness for Generalist Robotic Policies
Year: 2024
Source: arXiv 2412.10345
Composition: vis.trace(drawn on a second picture) + vis.dual -> bb.vlm(OpenVLA 7B or Phi-3-Vision 4B) -> tok.uniform ->
  head.ar [train: obj.ce]
Published: 7 B parameters, those of OpenVLA; SimplerEnv 46 % (Google's robot, matched), 50 % (varied), 28 % (WidowX)
Ours: not yet measured; command: embodia bench zoo --policy tracevla
Variants: TraceVLA-Phi3 is `families.phi3_vision` in place of OpenVLA
Deviations: points are followed by matching patches, not by a learned tracker; all cameras have paths; the picture with
  paths is read after the prompt, without a piece of text between; tiny and small say chunks of several steps in a table
  of their own, see the state, and read the sentence as one frozen MiniLM vector; tiny sees through keypoints.
"""

from __future__ import annotations

from collections.abc import Mapping

from embodia.builders.families import prismatic_llama2_7b
from embodia.builders.speaking import SpeakerConfig as Config
from embodia.builders.speaking import SpeechConfig, speaker
from embodia.builders.vlm import sight, small_vlm
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.shared import Shared
from embodia.parts.compose import Composition
from embodia.parts.decoders.autoregressive import TokenConfig
from embodia.parts.encoders.trace import TraceEyes
from embodia.parts.encoders.waypoints import END


def preset(size: str) -> Config:
    """tiny 3.9 M with steered keypoints; small 50 M with a small vision tower; paper as published."""
    if size == "tiny":
        return Config(history=4, speech=SpeechConfig(ids=128), ahead=(12, 24, 48, END))
    if size == "small":
        return Config(history=6, vlm=small_vlm())
    words = SpeechConfig(edges=True, mapped=True, spared=64, tokens=TokenConfig(start=29871, end=2))
    return Config(chunk=1, history=6, vlm=prismatic_llama2_7b(), speech=words)


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    seen = contract.observation
    looking = sight(config.vlm, seen)
    shown = TraceEyes(Shared(looking), seen.camera_names, name="trace")
    return speaker(contract, config, statistics, {"trace": shown}, looking)
