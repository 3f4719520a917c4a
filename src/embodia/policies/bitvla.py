"""BitVLA: weights of -1, 0 and 1 in the language model and in its eye, acting as OpenVLA-OFT does.

Title: BitVLA: 1-bit Vision-Language-Action Models for Robotics Manipulation
Year: 2025
Source: arXiv 2506.07530
Composition: bb.bitlinear(vis.vit siglip L -> fuse.projector(2 layers) -> bb.vlm(BitNet b1.58 2B4T)) -> head.parallel ->
  head.regress(L1) [train: obj.reg; pt.qat, obj.distil of the eye]
Published: 3.0 B parameters as printed, 1.4 GB of memory; LIBERO 97 / 100 / 94 / 88 %
Ours: 64 % (57-70, n 200) on Desk, tiny: results/zoo/bitvla.json; command: embodia bench zoo --policy bitvla
Deviations: the eye is rounded from the start, not taught by a full one; rounding is done in every pass, so weights take
  1.58 bits only once they are packed (`nn.bitlinear.packed_bits`); tiny and small round our own layers, read the
  sentence as one frozen MiniLM vector; tiny sees through full keypoints and estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping

from embodia.builders.families import bitnet_2b
from embodia.builders.reading import ReaderConfig as Config
from embodia.builders.reading import reader
from embodia.builders.vlm import small_vlm
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.parts.compose import Composition
from embodia.parts.decoders.readout import ReadoutConfig
from embodia.parts.encoders.waypoints import END


def preset(size: str) -> Config:
    """tiny 3.8 M with steered keypoints, a placeholder a step; small 50 M with a small tower; paper as published."""
    if size == "tiny":
        return Config(places="one", bits=1.58, ahead=(12, 24, 48, END))
    if size == "small":
        return Config(vlm=small_vlm(), bits=1.58, readout=ReadoutConfig(hidden=512))
    return Config(chunk=8, vlm=bitnet_2b(), bits=1.58, readout=ReadoutConfig(hidden=2560))


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    return reader(contract, config, statistics)
