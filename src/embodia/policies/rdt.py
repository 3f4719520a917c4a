"""RDT: a billion-parameter diffusion transformer for two arms that looks at sentence and pictures in turn.

Title: RDT-1B: a Diffusion Foundation Model for Bimanual Manipulation
Year: 2024
Source: arXiv 2410.07864; sizes and layers as in the public code's base configuration
Composition: vis.vit(siglip So400m/14 384, 3 cameras x 2 frames, frozen) + txt.t5(xxl, frozen) + prop.linear(128-d)
  -> fuse.alt_cond -> bb.dit(28 layers, QK-norm, RMSNorm) -> head.diffusion(chunk 64, 1000 steps, DPM-Solver++ 5 steps)
  [train: clean actions]
Published: 1.2 B without the frozen encoders; 1,228,319,872 by the public code's shapes at 4,374 image tokens
Ours: 56 % (49-63, n 200) on Desk, tiny: results/zoo/rdt.json; command: embodia bench zoo --policy rdt
Deviations: a body's state and actions fill the unified vector from its beginning (public weights are laid out anew
  for that, see `weights/rdt.py`); norms of the paper size divide by the deviation, as the public program's; conditions
  are not dropped at random in training; actions are clipped to their range while sampling; tiny sees through keypoints
  that the sentence steers, reads a frozen MiniLM vector as four tokens, one frame, and draws four noises for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import nn

from embodia.builders.sentences import sentence_tokens
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.normalize import Mode, Normalizer
from embodia.nn.projector import ProjectorConfig
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.diffusion import ChunkDiffusion, DiffusionConfig
from embodia.parts.decoders.dit import CrossDit, DitConfig
from embodia.parts.encoders.eyes import EyesConfig, eyes
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig
from embodia.parts.encoders.siglip import SiglipConfig
from embodia.parts.encoders.state import StateVector
from embodia.parts.encoders.t5 import T5Config


def _dit(width: int = 2048, depth: int = 28, heads: int = 32) -> DitConfig:
    return DitConfig(width=width, depth=depth, heads=heads, hidden=width, norm="rms", qk_norm=True)


def _solver() -> DiffusionConfig:
    return DiffusionConfig(train_steps=1000, sample_steps=5, solver="dpm", prediction="sample")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's. `unified` 0 is the body's own number of dimensions."""

    chunk: int = 64
    history: int = 2
    vision: EyesConfig = field(default_factory=lambda: SiglipConfig(pixels=384))
    text: T5Config | None = field(default_factory=lambda: T5Config(size="xxl", length=1024, tanh=True))
    dit: DitConfig = field(default_factory=lambda: replace(_dit(), norm="spread"))
    unified: int = 128
    diffusion: DiffusionConfig = field(default_factory=_solver)
    normalization: Mode = "min_max"
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 2.6 M with steered keypoints; small 170 M blocks (RDT-170M) with a small tower; paper as published."""
    if size == "tiny":
        diffusion = DiffusionConfig(train_steps=1000, sample_steps=5, solver="dpm", prediction="sample", draws=4)
        return Config(
            chunk=12,
            history=1,
            vision=KeypointStemConfig(),
            text=None,
            dit=_dit(width=128, depth=6, heads=4),
            unified=0,
            diffusion=diffusion,
        )
    if size == "small":
        tower = SiglipConfig(width=384, depth=8, heads=6, hidden=1536, patch=16, pixels=128)
        return Config(chunk=32, history=1, vision=tower, text=None, dit=_dit(width=1024, depth=14), unified=0)
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract; published vision and text encoders are frozen."""
    seen, actions, known, width = contract.observation, contract.action, statistics or {}, config.dit.width
    image = eyes(
        config.vision, seen, width, projector=ProjectorConfig(kind="mlp" if config.text else "linear", tanh=True)
    )
    encoders: dict[str, nn.Module] = {"state": StateVector(), "image": image}
    tokens: int = image.tokens  # type: ignore[assignment]
    memories = {"image": tokens * config.history}
    if seen.language:
        encoders["language"], words = sentence_tokens(config.text, width, deep=True, position=False, count=4)
        memories = {"language": words, **memories}
    if config.text:
        image.trunks.requires_grad_(False)  # type: ignore[union-attr, operator]
    net = CrossDit(
        config.dit,
        actions.dim,
        config.chunk,
        state_dim=seen.state_dim,
        memories=memories,
        rate_hz=actions.rate_hz,
        unified=config.unified,
    )
    parts = Parts(
        encoders=encoders,
        decoder=ChunkDiffusion(config.diffusion, net, actions.dim, config.chunk),
        state=Normalizer(seen.state_dim, config.normalization, known.get("state")),
        action=Normalizer(actions.dim, config.normalization, known.get(actions.statistics_key)),
        history=config.history,
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)
