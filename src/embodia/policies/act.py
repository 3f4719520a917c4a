"""ACT: a transformer that predicts a chunk of actions at once, with a latent for the demonstrator's style.

Title: Learning Fine-Grained Bimanual Manipulation with Low-Cost Hardware
Year: 2023
Source: arXiv 2304.13705
Composition: vis.resnet(18, frozen batch norm) + prop.linear + latent -> bb.encoder(4) -> head.regress(7, chunk 100)
  [train: L1 + 10 KL] [act: tt.ensemble exp(-0.01 i)]
Published: about 80 M parameters with four cameras and 14 joints
Ours: tiny 86 % (82-88, n 500) on Meta-World MT50, 72 % (67-76, n 400) on LIBERO's four suites, 75 % (67-81, n 150) on
  ALOHA's cube, 76 % (70-82, n 200) on Desk: results/{metaworld_mt50,libero,aloha_transfer_cube,zoo/act,parity_act}.json
Deviations: an instruction may enter as one more token (a frozen MiniLM sentence vector); no pretrained ResNet weights
  are shipped; tiny sees through keypoints that the sentence steers, small through group norm; both tell cameras apart
  and put norms first; tiny also estimates states to come, so that a small eye learns where to look
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from embodia.core.specs import Contract, ObservationSpec
from embodia.core.statistics import FeatureStatistics
from embodia.nn.detr import LayerSizes
from embodia.nn.normalize import Mode, Normalizer
from embodia.nn.reduce import Reduction
from embodia.parts.backbones.encoder import TransformerEncoder
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.regression import ChunkRegression, RegressionConfig
from embodia.parts.encoders.camera import CameraTokens
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig, SteeredKeypoints
from embodia.parts.encoders.language import LanguageToken
from embodia.parts.encoders.posterior import Posterior
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.parts.encoders.state import StateToken
from embodia.parts.encoders.vision import VisionConfig, camera_tokens
from embodia.parts.encoders.waypoints import END, Waypoints


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's. `posterior_layers` 0 leaves the latent out.

    `deep` puts a hidden layer before the tokens of state and sentence. `ahead` are the steps at which a small head
    estimates the state to come, from the picture, as one more token and loss term; empty leaves it out.
    """

    chunk: int = 100
    vision: VisionConfig | KeypointStemConfig = field(default_factory=ResNetConfig)
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
    deep: bool = False
    ahead: tuple[int, ...] = ()
    ahead_weight: float = 0.5
    normalization: Mode = "mean_std"
    reduction: Reduction = "sample"
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 3.8 M with steered keypoints; small 21 M with a group-norm ResNet-18 of half width; paper as published."""
    if size == "tiny":
        return Config(
            chunk=12,
            vision=KeypointStemConfig(),
            width=192,
            heads=6,
            hidden=576,
            encoder_layers=2,
            decoder_layers=2,
            posterior_layers=1,
            latent=8,
            dropout=0.0,
            pre_norm=True,
            deep=True,
            ahead=(12, 24, 48, END),
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
    encoders: dict[str, nn.Module] = {"state": StateToken(seen.state_dim, config.width, deep=config.deep)}
    if seen.language:
        encoders["language"] = LanguageToken(config.width, deep=config.deep)
    encoders["image"] = eyes = _eyes(config, seen)
    sizes = LayerSizes(
        width=config.width, heads=config.heads, hidden=config.hidden, dropout=config.dropout, pre_norm=config.pre_norm
    )
    head = RegressionConfig(layers=config.decoder_layers, reduction=config.reduction)
    known = statistics or {}
    parts = Parts(
        encoders=encoders,
        latent=_posterior(config, sizes, seen.state_dim, actions.dim),
        backbone=TransformerEncoder(sizes, config.encoder_layers),
        decoder=ChunkRegression(sizes, head, actions.dim, config.chunk),
        state=Normalizer(seen.state_dim, config.normalization, known.get("state")),
        action=Normalizer(actions.dim, config.normalization, known.get(actions.statistics_key)),
        foresight=_waypoints(config, seen.state_dim, eyes.tokens + len(encoders) - 1),
        weights={"kl": config.kl_weight, "foresight": config.ahead_weight},
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)


def _eyes(config: Config, seen: ObservationSpec) -> SteeredKeypoints | CameraTokens:
    if isinstance(config.vision, KeypointStemConfig):
        return SteeredKeypoints(config.vision, seen, config.width)
    return camera_tokens(config.vision, seen, config.width, camera_embedding=config.camera_embedding)


def _posterior(config: Config, sizes: LayerSizes, state_dim: int, action_dim: int) -> Posterior | None:
    if not config.posterior_layers:
        return None
    return Posterior(
        sizes,
        config.posterior_layers,
        latent=config.latent,
        state_dim=state_dim,
        action_dim=action_dim,
        chunk=config.chunk,
    )


def _waypoints(config: Config, state_dim: int, tokens: int) -> Waypoints | None:
    return Waypoints(config.width, state_dim, config.ahead, tokens) if config.ahead else None
