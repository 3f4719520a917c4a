"""pi0: a vision-language model reads once, a small action expert beside it flows from noise to a chunk of actions.

Title: pi0: A Vision-Language-Action Flow Model for General Robot Control
Year: 2024
Source: arXiv 2410.24164
Composition: bb.vlm(PaliGemma 3B: vis.vit SigLIP So400m, Gemma 2B) + bb.mot(action expert 300M, prop.linear)
  -> head.flow(chunk 50, 10 Euler steps) [train: obj.fm, times from Beta(1.5, 1)]
Published: 3.3 B parameters; 3,238,048,528 with the word embeddings counted once and none in the expert
Ours: 50 % (43-57, n 200) on Desk, tiny: results/zoo/pi0.json; command: embodia bench zoo --policy pi0; parity:
  results/parity_pi0.json
Deviations: no pretrained weights are shipped (public ones load through `embodia weights`); the weights of the last
  prefix layer that cannot learn are frozen in the paper size and left out of tiny and small; those two see through
  keypoints or a small tower, do not pad actions and read the sentence as one frozen MiniLM vector; tiny has as many
  key-value heads as heads and draws four noises and times for every observation it reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import nn

from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.normalize import Mode, Normalizer
from embodia.nn.transformer import TransformerConfig
from embodia.parts.backbones.action_expert import ActionExpert
from embodia.parts.backbones.prefix import PrefixModel
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.flow import FlowConfig, FlowDecoder
from embodia.parts.encoders.eyes import EyesConfig, eyes
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig
from embodia.parts.encoders.language import LanguageToken
from embodia.parts.encoders.siglip import SiglipConfig
from embodia.parts.encoders.state import StateToken
from embodia.parts.encoders.text import TextTokens
from embodia.parts.tokenizers.text import ByteTokenizer, FileTokenizer

GEMMA_2B = TransformerConfig(width=2048, depth=18, heads=8, kv_heads=1, head_dim=256, mlp_width=16384)
GEMMA_300M = TransformerConfig(width=1024, depth=18, heads=8, kv_heads=1, head_dim=256, mlp_width=4096)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's.

    language        "sentence": one frozen MiniLM vector; "pieces": text pieces embedded by the language model
    tokenizer_file  vocabulary of the pieces; "" reads bytes, which Gemma's vocabulary holds too
    deep            a hidden layer before the tokens of state and sentence
    padded          state and action dimensions inside the network, 0 = the contract's own
    complete        hold also what no action loss can train in the prefix model, frozen
    insulated       cut the gradient from the actions into the prefix model
    """

    chunk: int = 50
    vision: EyesConfig = field(default_factory=SiglipConfig)
    camera_embedding: bool = False
    language: Literal["sentence", "pieces"] = "pieces"
    tokenizer_file: str = ""
    vocabulary: int = 257152
    text_length: int = 48
    prefix: TransformerConfig = GEMMA_2B
    expert: TransformerConfig = GEMMA_300M
    deep: bool = False
    padded: int = 32
    complete: bool = True
    insulated: bool = False
    flow: FlowConfig = field(default_factory=FlowConfig)
    normalization: Mode = "mean_std"
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 3.3 M with steered keypoints; small 60 M with a small vision tower; paper as published."""
    if size == "tiny":
        return Config(
            chunk=12,
            vision=KeypointStemConfig(),
            language="sentence",
            deep=True,
            prefix=TransformerConfig(width=192, depth=4, heads=4, kv_heads=4, head_dim=48, mlp_width=512),
            expert=TransformerConfig(width=128, depth=4, heads=4, kv_heads=4, head_dim=48, mlp_width=384),
            flow=FlowConfig(draws=4),
            padded=0,
            complete=False,
        )
    if size == "small":
        return Config(
            chunk=32,
            vision=SiglipConfig(width=384, depth=8, heads=6, hidden=1536, patch=16, pixels=128),
            camera_embedding=True,
            language="sentence",
            prefix=TransformerConfig(width=512, depth=10, heads=8, kv_heads=1, head_dim=64, mlp_width=2048),
            expert=TransformerConfig(width=256, depth=10, heads=8, kv_heads=1, head_dim=64, mlp_width=1024),
            padded=0,
            complete=False,
        )
    return Config()


def attention(language: bool) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """Who looks at whom, in the prefix and in the suffix: three blocks, each sees itself and those before it."""
    sensed: tuple[str, ...] = ("image", "language") if language else ("image",)
    prefix = {name: sensed for name in sensed}
    return prefix, {"state": (*sensed, "state"), "action": (*sensed, "state", "action")}


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract. Raises `ConfigError` when the two models cannot share."""
    seen, actions, known = contract.observation, contract.action, statistics or {}
    config.prefix.require_same_cache(config.expert)
    encoders: dict[str, nn.Module] = {
        "image": eyes(config.vision, seen, config.prefix.width, camera_embedding=config.camera_embedding),
        "state": StateToken(
            seen.state_dim, config.expert.width, padded=config.padded, positions=False, deep=config.deep
        ),
    }
    if seen.language:
        encoders["language"] = _language(config)
    prefix, suffix = attention(seen.language)
    width = config.padded or actions.dim
    expert = ActionExpert(config.expert, width, config.chunk, suffix, insulated=config.insulated)
    parts = Parts(
        encoders=encoders,
        backbone=PrefixModel(config.prefix, prefix, complete=config.complete),
        decoder=FlowDecoder(expert, config.flow, actions.dim, config.chunk, width),
        state=Normalizer(seen.state_dim, config.normalization, known.get("state")),
        action=Normalizer(actions.dim, config.normalization, known.get(actions.statistics_key)),
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)


def _language(config: Config) -> nn.Module:
    if config.language == "sentence":
        return LanguageToken(config.prefix.width, deep=config.deep)
    if config.tokenizer_file:
        tokenizer = FileTokenizer(config.tokenizer_file, config.text_length, config.vocabulary)
        return TextTokens(tokenizer, config.vocabulary, config.prefix.width)
    return TextTokens(ByteTokenizer(config.text_length, first=217, start=2), config.vocabulary, config.prefix.width)
