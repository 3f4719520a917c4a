"""HybridVLA: one language model denoises actions inside its own sequence and says them as words; both decide.

Title: HybridVLA: Collaborative Diffusion and Autoregression in a Unified Vision-Language-Action Model
Year: 2025
Source: arXiv 2503.10631; layers as in the public code
Composition: vis.dual(DINOv2, SigLIP) -> bb.vlm(llama-2 7B) with noisy actions in its sequence + tok.uniform ->
  head.hybrid(head.diffusion, head.ar) [train: obj.eps + obj.ce] [act: DDIM 4 steps, mean of both above 0.96]
Published: 7 B and 2.7 B
Ours: not yet measured; command: embodia bench zoo --policy hybridvla
Deviations: words follow what was seen and said, not the noisy actions; confidence is the geometric mean of the words'
  probabilities; tiny sees through keypoints that the sentence steers, reads a frozen MiniLM vector, has words for
  actions alone and estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping

from embodia.builders.diffusion_vla import DiffusionVlaConfig as Config
from embodia.builders.diffusion_vla import composed, diffusion_vla
from embodia.builders.families import prismatic_llama2_7b
from embodia.builders.vlm import small_vlm
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.shared import Shared
from embodia.parts.compose import Composition
from embodia.parts.decoders.autoregressive import TokenConfig, TokenDecoder
from embodia.parts.decoders.diffusion import DiffusionConfig
from embodia.parts.decoders.hybrid import HybridDecoder
from embodia.parts.encoders.waypoints import END
from embodia.parts.tokenizers.uniform import UniformTokenizer
from embodia.parts.tokenizers.vocabulary_map import VocabularyMap, last_ids

__all__ = ["BINS", "Config", "build", "preset"]

BINS = 256
"""Bins an action dimension, as ids counted backwards from the end of the language model's vocabulary."""


def preset(size: str) -> Config:
    """tiny 4.4 M with steered keypoints; small 50 M; paper the 7 B model, one action at a time."""
    diffusion = DiffusionConfig(sample_steps=4, draws=3)
    if size == "tiny":
        return Config(chunk=4, told="sequence", net=None, diffusion=diffusion, ahead=(12, 24, 48, END))
    if size == "small":
        return Config(chunk=8, vlm=small_vlm(), told="sequence", net=None, diffusion=diffusion)
    return Config(chunk=1, vlm=prismatic_llama2_7b(), told="sequence", net=None, diffusion=diffusion)


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    made, dim = diffusion_vla(contract, config), contract.action.dim
    bins, own = UniformTokenizer(config.chunk, dim, BINS), made.backbone.vocabulary
    if own is None:
        words = TokenDecoder(bins, config.vlm.model.width, TokenConfig(), chunk=config.chunk)
    else:
        mapped = VocabularyMap(bins, own.size, last_ids(own.size, BINS, 64))
        words = TokenDecoder(mapped, Shared(own), TokenConfig(start=29871, end=2), chunk=config.chunk)
    decoder = HybridDecoder(made.decoder, words, contract.action)
    return composed(contract, config, made, statistics, decoder=decoder)
