"""Diffusion Policy with a transformer: the same denoising, each action a token that sees only those before it.

Title: Diffusion Policy: Visuomotor Policy Learning via Action Diffusion
Year: 2023
Source: arXiv 2303.04137, section 3.1 and appendix A
Composition: vis.resnet(18, group norm, spatial softmax) a camera + prop (observe 2) -> head.diffusion(bb.causal,
  8 layers of 256 that look at time and observations, predict 10, execute 8) [train: obj.eps, 100 steps]
Published: no parameter count
Ours: 36 % (30-43, n 200) on Desk, tiny: results/zoo/diffusion_transformer.json; command: embodia bench zoo --policy
  diffusion_transformer
Deviations: an instruction may enter as a frozen MiniLM sentence vector; the chunk begins at the newest observation, not
  at the oldest, so every action may see every observation; DDIM with ten steps, not DDPM with a hundred; tiny sees
  through keypoints that the sentence steers, one observation, and draws four noises for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.normalize import Mode, Normalizer
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.diffusion import ChunkDiffusion, DiffusionConfig
from embodia.parts.decoders.dit import CausalDenoiser, DitConfig
from embodia.parts.encoders.keypoint import CameraKeypoints
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig
from embodia.parts.encoders.language import LanguageToken
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.parts.encoders.state import StateVector
from embodia.parts.encoders.steps import CameraSteps
from embodia.parts.encoders.vision import VisionConfig


def _published() -> DitConfig:
    return DitConfig(width=256, depth=8, heads=4, norm="affine", dropout=0.3)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's. `history` observations are seen, the newest last."""

    chunk: int = 10
    history: int = 2
    vision: VisionConfig | KeypointStemConfig = field(default_factory=lambda: ResNetConfig(norm="group", shared=False))
    keypoints: int = 32
    language_width: int = 64
    denoiser: DitConfig = field(default_factory=_published)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    normalization: Mode = "min_max"
    inference: Inference = field(default_factory=lambda: Inference(execute=8))


def preset(size: str) -> Config:
    """tiny 3.1 M with steered keypoints; small 26 M with ResNets of half width; paper as published."""
    if size == "tiny":
        return Config(
            chunk=12,
            history=1,
            vision=KeypointStemConfig(),
            denoiser=DitConfig(width=128, depth=4, heads=4, norm="affine"),
            diffusion=DiffusionConfig(draws=4),
        )
    if size == "small":
        return Config(
            chunk=16,
            vision=ResNetConfig(norm="group", width=32, shared=False),
            denoiser=DitConfig(width=384, depth=8, heads=6, norm="affine", dropout=0.1),
        )
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract; an instruction vector where the contract has language."""
    seen, actions, known = contract.observation, contract.action, statistics or {}
    if isinstance(config.vision, KeypointStemConfig):
        image: CameraSteps | CameraKeypoints = CameraSteps(config.vision, seen, config.denoiser.width)
    else:
        image = CameraKeypoints(config.vision, seen, config.keypoints)
    encoders: dict[str, nn.Module] = {"state": StateVector(), "image": image}
    if seen.language:
        encoders["language"] = LanguageToken(config.language_width, position=False)
    condition = seen.state_dim + image.width + (config.language_width if seen.language else 0)
    net = CausalDenoiser(config.denoiser, actions.dim, config.chunk, condition, config.history)
    parts = Parts(
        encoders=encoders,
        decoder=ChunkDiffusion(config.diffusion, net, actions.dim, config.chunk),
        state=Normalizer(seen.state_dim, config.normalization, known.get("state")),
        action=Normalizer(actions.dim, config.normalization, known.get(actions.statistics_key)),
        history=config.history,
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)
