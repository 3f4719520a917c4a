"""Gato: one decoder-only transformer, everything a token, actions spoken one number after another.

Title: A Generalist Agent
Year: 2022
Source: arXiv 2205.06175
Composition: txt.bpe + vis.resnet patch embedding + prop.linear(tok.mulaw 1024) -> fuse.concat -> bb.causal(24 layers)
  -> head.ar [train: obj.ce; data.mix 604 tasks]
Published: 1.2 B parameters, 604 tasks
Ours: 43 % (36-50, n 200) on Desk, tiny: results/zoo/gato.json; command: embodia bench zoo --policy gato
Deviations: robot control alone, no games or captions; the sentence is one frozen MiniLM vector and the state one linear
  token, where the original cuts both into ids; actions normalised to -1..1 need no mu-law, as in the paper; cells of a
  ResNet's map stand for patches through one block; tiny sees through keypoints that the sentence steers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from embodia.builders.vlm import VlmConfig, vision_language
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.gpt import GptConfig
from embodia.nn.normalize import Mode, Normalizer
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.autoregressive import TokenConfig, TokenDecoder
from embodia.parts.encoders.conv_stem import ConvStemConfig
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig
from embodia.parts.tokenizers.uniform import MuLawTokenizer


def _trunk(model: GptConfig) -> VlmConfig:
    return VlmConfig(vision=ConvStemConfig(shared=True), model=model, causal=True, camera_embedding=True, deep=False)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's. `companded` squashes actions by the mu-law first."""

    chunk: int = 1
    trunk: VlmConfig = field(
        default_factory=lambda: _trunk(GptConfig(width=2048, depth=24, heads=16, hidden=8192, places=1024))
    )
    bins: int = 1024
    companded: bool = False
    words: TokenConfig = field(default_factory=TokenConfig)
    normalization: Mode = "quantile"
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 2 M with steered keypoints and 256 bins; small 79 M, the paper's smallest; paper as published."""
    if size == "tiny":
        model = GptConfig(width=192, depth=3, heads=6, hidden=576, places=128)
        return Config(chunk=4, trunk=VlmConfig(vision=KeypointStemConfig(), model=model, causal=True), bins=256)
    if size == "small":
        return Config(chunk=8, trunk=_trunk(GptConfig(width=768, depth=8, heads=24, hidden=3072, places=1024)))
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    seen, actions, known = contract.observation, contract.action, statistics or {}
    encoders, backbone = vision_language(config.trunk, seen, outputs=False)
    tokenizer = MuLawTokenizer(config.chunk, actions.dim, config.bins, companded=config.companded)
    parts = Parts(
        encoders=encoders,
        backbone=backbone,
        decoder=TokenDecoder(tokenizer, config.trunk.model.width, config.words, chunk=config.chunk),
        state=Normalizer(seen.state_dim, "mean_std", known.get("state")),
        action=Normalizer(actions.dim, config.normalization, known.get(actions.statistics_key)),
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)
