"""HPT: a stem a body, one shared trunk, a head a task; what moves between robots is the trunk.

Title: Scaling Proprioceptive-Visual Learning with Heterogeneous Pre-trained Transformers
Year: 2024
Source: arXiv 2409.20537; layers as in the public code's configuration
Composition: per-body fuse.resampler (16 tokens a sense from vis.resnet and prop.by_body) -> bb.encoder(shared trunk) ->
  per-task head.regress [train: Huber; data.mix 52 sets]
Published: trunks of 3.1 M, 12.6 M, 50.5 M and 226.8 M; 12.6 M is the paper size here
Variants: HPT-Small, HPT-Base, HPT-Large by `Config.width` 128, 256, 512; HPT-XLarge by width 768 and depth 32
Ours: 14 % (9-19, n 200) on Desk, tiny: results/zoo/hpt.json; command: embodia bench zoo --policy hpt
Deviations: the sentence is a sense with a stem of its own; attention has no learned key beside the tokens; queries
  begin with spread 1, not 0.02; the head is the body's own and not kept by name; tiny sees through keypoints that the
  sentence steers, and its head reads all tokens, not their mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import nn

from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.dit import BlockSizes
from embodia.nn.normalize import Mode, Normalizer
from embodia.parts.backbones.block import BlockTransformer
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.error import ErrorConfig
from embodia.parts.decoders.pooled import PooledConfig, PooledRegression
from embodia.parts.encoders.by_body import ByBody, Stem
from embodia.parts.encoders.eyes import EyesConfig, eyes
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig
from embodia.parts.encoders.language import LanguageToken
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.parts.encoders.state import StateToken


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are HPT-Base's. `bodies` besides the contract's own share its shapes."""

    chunk: int = 8
    bodies: tuple[str, ...] = ()
    vision: EyesConfig = field(default_factory=ResNetConfig)
    features: int = 512
    tokens: int = 16
    width: int = 256
    depth: int = 16
    heads: int = 8
    pool: Literal["flat", "mean"] = "mean"
    hidden: tuple[int, ...] = (256, 128)
    error: ErrorConfig = field(default_factory=lambda: ErrorConfig(error="huber", knee=0.05))
    normalization: Mode = "min_max"
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 4.3 M with steered keypoints; small HPT-Small behind a ResNet of half width; paper HPT-Base."""
    if size == "tiny":
        return Config(
            chunk=12,
            vision=KeypointStemConfig(),
            features=192,
            tokens=10,
            width=128,
            depth=4,
            pool="flat",
            hidden=(256,),
            error=ErrorConfig(error="l1"),
        )
    if size == "small":
        return Config(chunk=16, vision=ResNetConfig(norm="group", width=32), features=256, width=128)
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    seen, actions, known, width = contract.observation, contract.action, statistics or {}, config.width
    bodies = (contract.embodiment, *config.bodies)

    def stems(name: str) -> ByBody:
        inner: dict[str, nn.Module] = {body: _sense(name, contract, config) for body in bodies}
        return ByBody(
            {
                body: Stem(sense, config.features, width, config.tokens, config.heads, asks=name != "state")
                for body, sense in inner.items()
            }
        )

    names = ("image", "state", "language") if seen.language else ("image", "state")
    sizes = BlockSizes(width=width, heads=config.heads, hidden=4 * width, norm="affine")
    head = PooledConfig(pool=config.pool, hidden=config.hidden, error=config.error)
    tokens = len(names) * config.tokens
    parts = Parts(
        encoders={name: stems(name) for name in names},
        backbone=BlockTransformer(sizes, config.depth, dict.fromkeys(names, names), {}),
        decoder=PooledRegression(head, width, actions.dim, config.chunk, read=names, tokens=tokens),
        state=Normalizer(seen.state_dim, config.normalization, known.get("state")),
        action=Normalizer(actions.dim, config.normalization, known.get(actions.statistics_key)),
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)


def _sense(name: str, contract: Contract, config: Config) -> nn.Module:
    if name == "image":
        return eyes(config.vision, contract.observation, config.features)
    if name == "state":
        return StateToken(contract.observation.state_dim, config.features, positions=False, deep=True)
    return LanguageToken(config.features, position=False, deep=True, count=4)
