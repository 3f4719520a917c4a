"""Octo: a small open generalist whose transformer reads task and observations in blocks, and a diffusion head.

Title: Octo: An Open-Source Generalist Robot Policy
Year: 2024
Source: arXiv 2405.12213; sizes and head as in the public code's pre-training configuration
Composition: vis.conv_stem(16-pixel patches) + txt.t5(base, frozen) -> fuse.concat(window 2) -> bb.block_mask(ViT) ->
  one read-out token -> head.diffusion(mlp, chunk 4, 20 steps) [train: obj.eps; data.rlds 25 sets]
Published: 27 M and 93 M without the frozen text encoder
Variants: Octo-Small is the paper size (ViT-S trunk), Octo-Base is `base()` (ViT-B trunk); ConRFT's actor (arXiv
  2502.05450) acts in a step or two by `Config.consistency`, here without its critic
Ours: 48 % (41-55, n 200) on Desk, tiny: results/zoo/octo.json; command: embodia bench zoo --policy octo
Deviations: the state is one more token a step (the authors add it in fine-tuning); goal pictures are not read; only the
  newest read-out acts and learns; DDIM, not DDPM; convolutions are not weight-standardised; tiny sees through keypoints
  that the sentence steers, reads a frozen MiniLM vector, one observation, and draws four noises for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from embodia.builders.sentences import sentence_tokens
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.dit import BlockSizes
from embodia.nn.normalize import Mode, Normalizer
from embodia.parts.backbones.block import BlockTransformer
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.consistency import ConsistencyConfig, ConsistencyDecoder
from embodia.parts.decoders.diffusion import ChunkDiffusion, DiffusionConfig
from embodia.parts.decoders.mlp import MlpConfig, MlpDenoiser
from embodia.parts.encoders.conv_stem import ConvStemConfig
from embodia.parts.encoders.eyes import EyesConfig, eyes
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig
from embodia.parts.encoders.queries import LearnedTokens
from embodia.parts.encoders.state import StateToken
from embodia.parts.encoders.t5 import T5Config


def _stem() -> ConvStemConfig:
    return ConvStemConfig(widths=(32, 96, 192, 384), first_kernel=3, group_width=12, out=512)


def _head() -> DiffusionConfig:
    return DiffusionConfig(train_steps=20, sample_steps=20, clip=5.0)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are Octo-Small's. `window` positions in time can be told apart.

    `consistency` takes the place of `diffusion`.
    """

    chunk: int = 4
    history: int = 2
    window: int = 10
    vision: EyesConfig = field(default_factory=_stem)
    text: T5Config | None = field(default_factory=T5Config)
    width: int = 384
    depth: int = 12
    heads: int = 6
    head: MlpConfig = field(default_factory=MlpConfig)
    diffusion: DiffusionConfig = field(default_factory=_head)
    consistency: ConsistencyConfig | None = None
    normalization: Mode = "mean_std"
    inference: Inference = field(default_factory=Inference)


def base() -> Config:
    """Octo-Base: 93 M."""
    return Config(width=768, heads=12)


def preset(size: str) -> Config:
    """tiny 4.5 M with steered keypoints; small is Octo-Small with a sentence vector; paper is Octo-Small."""
    if size == "tiny":
        return Config(
            chunk=12,
            history=1,
            window=0,
            vision=KeypointStemConfig(),
            text=None,
            width=192,
            depth=3,
            diffusion=DiffusionConfig(draws=4, clip=5.0),
        )
    return Config(text=None) if size == "small" else Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    seen, actions, known, width = contract.observation, contract.action, statistics or {}, config.width
    encoders: dict[str, nn.Module] = {}
    if seen.language:
        encoders["language"], _ = sentence_tokens(config.text, width)
    encoders["image"] = image = eyes(config.vision, seen, width)
    encoders["state"] = StateToken(seen.state_dim, width, config.history, deep=config.text is None)
    encoders["readout"] = LearnedTokens("readout", 1, width)
    task = ("language",) if seen.language else ()
    sensed = (*task, "image", "state")
    attention = {name: (task if name == "language" else sensed) for name in sensed}
    tokens: int = image.tokens  # type: ignore[assignment]
    learned = {"image": (config.window, tokens)} if config.window else {}
    if config.text and seen.language:
        learned["language"] = (1, config.text.length)
    sizes = BlockSizes(width=width, heads=config.heads, hidden=4 * width, norm="affine")
    steps = {"image": tokens, "state": 1}
    net = MlpDenoiser(config.head, actions.dim, config.chunk, width)
    parts = Parts(
        encoders=encoders,
        backbone=BlockTransformer(sizes, config.depth, {**attention, "readout": (*sensed, "readout")}, steps, learned),
        decoder=_decoder(config, net, actions.dim),
        state=Normalizer(seen.state_dim, config.normalization, known.get("state")),
        action=Normalizer(actions.dim, config.normalization, known.get(actions.statistics_key)),
        history=config.history,
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)


def _decoder(config: Config, net: nn.Module, dim: int) -> nn.Module:
    if config.consistency is not None:
        return ConsistencyDecoder(config.consistency, net, dim, config.chunk, read=("readout",))
    return ChunkDiffusion(config.diffusion, net, dim, config.chunk, read=("readout",))
