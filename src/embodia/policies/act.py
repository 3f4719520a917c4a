"""ACT: a transformer that predicts a chunk of actions at once, with a latent for the demonstrator's style.

Title: Learning Fine-Grained Bimanual Manipulation with Low-Cost Hardware
Year: 2023
Source: arXiv 2304.13705
Composition: vis.resnet(18, frozen batch norm) + prop.linear + latent -> bb.encoder(4) -> head.regress(7, chunk 100)
  [train: L1 + 10 KL] [act: tt.ensemble exp(-0.01 i)]
Published: about 80 M parameters with four cameras and 14 joints
Ours: see results/parity_act.json; command: pytest -m long tests/parity/test_parity_act.py
Deviations: an instruction may enter as one more token (a frozen MiniLM sentence vector); no pretrained ResNet weights
  are shipped; tiny and small see through shallow stems or group norm, tell cameras apart by a learned embedding and put
  norms first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.normalize import Mode, Normalizer
from embodia.nn.reduce import Reduction
from embodia.parts.backbones.encoder import EncoderConfig, TransformerEncoder
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.regression import ChunkRegression, RegressionConfig
from embodia.parts.encoders.conv_stem import ConvStemConfig
from embodia.parts.encoders.language import LanguageToken
from embodia.parts.encoders.posterior import Posterior, PosteriorConfig
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.parts.encoders.state import StateToken
from embodia.parts.encoders.vision import VisionConfig, camera_tokens


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's. `posterior_layers` 0 leaves the latent out."""

    chunk: int = 100
    vision: VisionConfig = field(default_factory=ResNetConfig)
    width: int = 512
    heads: int = 8
    hidden: int = 3200
    encoder_layers: int = 4
    decoder_layers: int = 7
    posterior_layers: int = 4
    latent: int = 32
    kl_weight: float = 10.0
    dropout: float = 0.1
    pre_norm: bool = False
    camera_embedding: bool = False
    normalization: Mode = "mean_std"
    reduction: Reduction = "sample"
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 2.9 M with shallow stems; small 19 M with a group-norm ResNet-18 of half width; paper as published."""
    if size == "tiny":
        return Config(
            chunk=16,
            vision=ConvStemConfig(),
            width=192,
            heads=4,
            hidden=512,
            decoder_layers=1,
            posterior_layers=1,
            latent=8,
            dropout=0.0,
            pre_norm=True,
            camera_embedding=True,
        )
    if size == "small":
        return Config(
            chunk=32,
            vision=ResNetConfig(norm="group", width=32),
            width=384,
            heads=6,
            hidden=1536,
            decoder_layers=3,
            posterior_layers=2,
            camera_embedding=True,
            pre_norm=True,
        )
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract; an instruction token where the contract has language."""
    seen, actions = contract.observation, contract.action
    encoders: dict[str, nn.Module] = {"state": StateToken(seen.state_dim, config.width)}
    if seen.language:
        encoders["language"] = LanguageToken(config.width)
    encoders["image"] = camera_tokens(config.vision, seen, config.width, camera_embedding=config.camera_embedding)
    known = statistics or {}
    parts = Parts(
        encoders=encoders,
        latent=_posterior(config, seen.state_dim, actions.dim) if config.posterior_layers else None,
        backbone=TransformerEncoder(_encoder(config)),
        decoder=ChunkRegression(_decoder(config), actions.dim, config.chunk),
        state=Normalizer(seen.state_dim, config.normalization, known.get("state")),
        action=Normalizer(actions.dim, config.normalization, known.get(actions.statistics_key)),
        weights={"kl": config.kl_weight},
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)


def _encoder(config: Config) -> EncoderConfig:
    return EncoderConfig(
        width=config.width,
        heads=config.heads,
        hidden=config.hidden,
        layers=config.encoder_layers,
        dropout=config.dropout,
        pre_norm=config.pre_norm,
    )


def _decoder(config: Config) -> RegressionConfig:
    return RegressionConfig(
        width=config.width,
        heads=config.heads,
        hidden=config.hidden,
        layers=config.decoder_layers,
        dropout=config.dropout,
        pre_norm=config.pre_norm,
        reduction=config.reduction,
    )


def _posterior(config: Config, state_dim: int, action_dim: int) -> Posterior:
    sizes = PosteriorConfig(
        width=config.width,
        heads=config.heads,
        hidden=config.hidden,
        layers=config.posterior_layers,
        latent=config.latent,
        dropout=config.dropout,
        pre_norm=config.pre_norm,
    )
    return Posterior(sizes, state_dim, action_dim, config.chunk)
