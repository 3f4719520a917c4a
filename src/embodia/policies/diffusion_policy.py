"""Diffusion Policy: a chunk of actions drawn by denoising, so that several ways of doing a task stay several.

Title: Diffusion Policy: Visuomotor Policy Learning via Action Diffusion
Year: 2023
Source: arXiv 2303.04137
Composition: vis.resnet(18, group norm, spatial softmax) a camera + prop (observe 2) -> head.diffusion(bb.unet1d with
  FiLM, predict 16, execute 8) [train: obj.eps, 100 steps] [act: tt.horizon, DDIM 10 steps]
Published: no parameter count; LeRobot's default for PushT has 262,709,026
Variants: Consistency Policy (arXiv 2405.07503) by `Config.consistency`: a step or two, trained without its teacher
Ours: 46 % (39-53, n 200) on Desk, tiny: results/zoo/diffusion_policy.json; command: embodia bench zoo --policy
  diffusion_policy; parity: results/parity_diffusion_policy.json
Deviations: an instruction may enter as a frozen MiniLM sentence vector; the chunk begins at the newest observation, not
  at the oldest; pictures are shifted by the data pipeline, not cropped here; padded steps do not count in the loss;
  tiny sees through keypoints that the sentence steers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.normalize import Mode, Normalizer
from embodia.nn.unet1d import UNet1d, UNetConfig
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.consistency import ConsistencyConfig, ConsistencyDecoder
from embodia.parts.decoders.diffusion import ChunkDiffusion, DiffusionConfig
from embodia.parts.encoders.keypoint import camera_vector
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig
from embodia.parts.encoders.language import LanguageToken
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.parts.encoders.state import StateVector
from embodia.parts.encoders.vision import VisionConfig


def _trunk() -> ResNetConfig:
    return ResNetConfig(norm="group", shared=False)


def _denoiser() -> UNetConfig:
    return UNetConfig(widths=(512, 1024, 2048), time_width=128)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's. `history` observations are seen, the newest last.

    `consistency` takes the place of `diffusion`.
    """

    chunk: int = 16
    history: int = 2
    vision: VisionConfig | KeypointStemConfig = field(default_factory=_trunk)
    keypoints: int = 32
    language_width: int = 64
    unet: UNetConfig = field(default_factory=_denoiser)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    consistency: ConsistencyConfig | None = None
    normalization: Mode = "min_max"
    inference: Inference = field(default_factory=lambda: Inference(execute=8))


def preset(size: str) -> Config:
    """tiny 4 M with steered keypoints; small 20 M with ResNets of half width; paper as published."""
    if size == "tiny":
        return Config(
            vision=KeypointStemConfig(),
            unet=UNetConfig(widths=(56, 112, 224), kernel=3, time_width=64),
        )
    if size == "small":
        return Config(
            vision=ResNetConfig(norm="group", width=32, shared=False),
            unet=UNetConfig(widths=(128, 256, 512), time_width=128),
        )
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract; an instruction vector where the contract has language."""
    seen, actions = contract.observation, contract.action
    image = camera_vector(config.vision, seen, config.keypoints)
    encoders: dict[str, nn.Module] = {"state": StateVector(), "image": image}
    condition = config.history * (seen.state_dim + image.width)
    if seen.language:
        encoders["language"] = LanguageToken(config.language_width, position=False)
        condition += config.language_width
    known = statistics or {}
    parts = Parts(
        encoders=encoders,
        decoder=_decoder(config, UNet1d(config.unet, actions.dim, condition), actions.dim),
        state=Normalizer(seen.state_dim, config.normalization, known.get("state")),
        action=Normalizer(actions.dim, config.normalization, known.get(actions.statistics_key)),
        history=config.history,
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)


def _decoder(config: Config, net: UNet1d, dim: int) -> nn.Module:
    if config.consistency is not None:
        return ConsistencyDecoder(config.consistency, net, dim, config.chunk)
    return ChunkDiffusion(config.diffusion, net, dim, config.chunk)
