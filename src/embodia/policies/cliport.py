"""CLIPort: Transporter with a second path that is told the sentence, so that what and where are seen apart.

Title: CLIPort: What and Where Pathways for Robotic Manipulation
Year: 2021
Source: arXiv 2109.12098
Composition: semantic path (told txt.sentence) + spatial path (Transporter stream, bb.fcn) -> bb.fcn, added on the
  way up -> crop-correlation over 36 rotations -> tok.pixel -> act.space(key-frame) [train: obj.ce]
Published: no parameter count of the trained part
Ours: not yet measured; command: embodia bench zoo --policy cliport
Deviations: the semantic path is a fully convolutional network trained from scratch and the sentence a frozen MiniLM
  vector, in place of CLIP's frozen ResNet-50 and text transformer; closed loop in key frames, as `transporter`
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.parts.compose import Composition
from embodia.parts.decoders.pixelmap import PixelMapConfig
from embodia.policies import transporter
from embodia.policies.transporter import Config

__all__ = ["Config", "build", "preset"]


def preset(size: str) -> Config:
    """tiny 1.7 M on 32 pixels; small 14 M on 96; paper 160 pixels, 36 turns and a sentence of 1024 numbers."""
    config = transporter.preset(size)
    if size == "tiny":
        return replace(config, maps=PixelMapConfig(width=16, depth=3, two_streams=True))
    told = 1024 if size == "paper" else config.told
    return replace(config, maps=replace(config.maps, two_streams=True), told=told)


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights. Raises `ConfigError` for a body without points, or whose tool has no place."""
    return transporter.build(contract, config, statistics)
