"""Language-conditioned imitation: the sentence picks the region that matters, a recurrent controller goes there.

Title: Language-Conditioned Imitation Learning for Robot Manipulation Tasks
Year: 2020
Source: arXiv 2010.12083
Composition: vis.obj_crops(regions with places) + txt.use(sentence vector) -> fuse.resampler(the sentence asks the
  regions) -> bb.gru -> head.regress -> act.space(joint) [train: obj.reg]
Published: no parameter count
Ours: not yet measured; command: embodia bench zoo --policy stepputtis
Deviations: regions are the cells of a feature map with their places, not the boxes of a pretrained detector; the
  sentence is a MiniLM vector, not GloVe words through a GRU; the chunk is written at once, without the paper's phase
  variable; tiny sees through a shallow stem and estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import nn

from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.normalize import Mode, Normalizer
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.error import ErrorConfig
from embodia.parts.decoders.pooled import PooledConfig, PooledRegression
from embodia.parts.encoders.conv_stem import ConvStemConfig
from embodia.parts.encoders.language import LanguageToken
from embodia.parts.encoders.regions import RegionAttention
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.parts.encoders.state import StateToken
from embodia.parts.encoders.vision import VisionConfig
from embodia.parts.encoders.waypoints import END, Waypoints


def _head() -> PooledConfig:
    return PooledConfig(memory="gru", carry=256, hidden=(256,), error=ErrorConfig(error="l2"))


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices. `questions` are asked of every picture, `history` is what the GRU sees."""

    chunk: int = 12
    history: int = 4
    vision: VisionConfig = field(default_factory=ResNetConfig)
    questions: int = 16
    width: int = 256
    deep: bool = True
    ahead: tuple[int, ...] = ()
    head: PooledConfig = field(default_factory=_head)
    normalization: Mode = "mean_std"
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 1.5 M with shallow stems and two steps; small with a ResNet of half width; paper with a ResNet-18."""
    if size == "tiny":
        stem = ConvStemConfig(widths=(48, 64, 96), group_width=16)
        head = replace(_head(), error=ErrorConfig(error="l1"))
        return Config(history=2, vision=stem, width=192, questions=24, ahead=(12, 24, 48, END), head=head)
    if size == "small":
        return Config(vision=ResNetConfig(norm="group", width=32))
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    seen, actions, known = contract.observation, contract.action, statistics or {}
    eyes = RegionAttention(config.vision, seen, config.width, queries=config.questions)
    encoders: dict[str, nn.Module] = {
        "image": eyes,
        "state": StateToken(seen.state_dim, config.width, config.history, deep=config.deep),
    }
    still: tuple[str, ...] = ()
    if seen.language:
        encoders["language"] = LanguageToken(config.width, deep=config.deep)
        still = ("language",)
    each = eyes.tokens + 1
    foresight = None
    if config.ahead:
        foresight = Waypoints(config.width, seen.state_dim, config.ahead, config.history * each + len(still))
    still += ("ahead",) if config.ahead else ()
    parts = Parts(
        encoders=encoders,
        decoder=PooledRegression(
            config.head,
            config.width,
            actions.dim,
            config.chunk,
            read=("image", "state"),
            still=still,
            tokens=each + len(still),
            steps=config.history,
        ),
        state=Normalizer(seen.state_dim, config.normalization, known.get("state")),
        action=Normalizer(actions.dim, config.normalization, known.get(actions.statistics_key)),
        foresight=foresight,
        weights={"foresight": 0.5},
        history=config.history,
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)
