"""The one-hot multi-task policy: a network, a recurrent memory, and a code for the task instead of words.

Title: One-hot multi-task visual imitation (the closed task set of early end-to-end policies)
Year: 2018
Source: no single paper; the baseline that language-conditioned imitation was first compared with
Composition: vis.resnet(18) + txt.onehot + prop.linear -> fuse.concat -> bb.lstm -> head.regress -> act.space(any)
  [train: obj.reg]
Published: no parameter count
Ours: not yet measured; command: embodia bench zoo --policy one_hot
Deviations: sentences become codes by a checksum, so that no list of tasks is kept; tiny sees through a shallow stem's
  keypoints that nothing steers, and estimates states to come.
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
from embodia.parts.encoders.film_resnet import FilmResNet
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig, SteeredKeypoints
from embodia.parts.encoders.onehot import OneHotTask
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.parts.encoders.state import StateToken
from embodia.parts.encoders.waypoints import END, Waypoints


def _head() -> PooledConfig:
    return PooledConfig(memory="lstm", carry=512, error=ErrorConfig(error="l2"))


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices. `codes` is the number of tasks that can be told apart, `history` the steps the LSTM sees."""

    chunk: int = 10
    history: int = 4
    vision: ResNetConfig | KeypointStemConfig = field(default_factory=ResNetConfig)
    codes: int = 1024
    width: int = 512
    deep: bool = False
    ahead: tuple[int, ...] = ()
    head: PooledConfig = field(default_factory=_head)
    normalization: Mode = "mean_std"
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 3 M with unsteered keypoints and two steps; small with a group-norm ResNet of half width; paper: full."""
    if size == "tiny":
        return Config(
            chunk=12,
            history=2,
            vision=KeypointStemConfig(),
            width=96,
            deep=True,
            ahead=(12, 24, 48, END),
            head=replace(_head(), carry=256, hidden=(256,)),
        )
    if size == "small":
        return Config(vision=ResNetConfig(norm="group", width=32))
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract; the eye never hears the sentence."""
    seen, actions, known = contract.observation, contract.action, statistics or {}
    deaf = replace(seen, language=False)
    eyes: SteeredKeypoints | FilmResNet
    if isinstance(config.vision, KeypointStemConfig):
        eyes, width = SteeredKeypoints(config.vision, deaf, config.width), config.width
    else:
        eyes = FilmResNet(config.vision, deaf)
        width = eyes.width
    encoders: dict[str, nn.Module] = {
        "image": eyes,
        "state": StateToken(seen.state_dim, width, config.history, deep=config.deep),
    }
    still: tuple[str, ...] = ()
    if seen.language:
        encoders["language"] = OneHotTask(width, config.codes)
        still = ("language",)
    each = eyes.tokens + 1
    foresight = None
    if config.ahead:
        foresight = Waypoints(width, seen.state_dim, config.ahead, config.history * each + len(still))
    still += ("ahead",) if config.ahead else ()
    parts = Parts(
        encoders=encoders,
        decoder=PooledRegression(
            config.head,
            width,
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
