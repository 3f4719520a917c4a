"""BC-Z: a ResNet that the sentence modulates, and ten waypoints from one look.

Title: BC-Z: Zero-Shot Task Generalization with Robotic Imitation Learning
Year: 2022
Source: arXiv 2202.02005
Composition: vis.resnet(18) + fuse.film(sentence vector) -> head.regress(10 waypoints) -> act.space(relative
  end-effector + gripper) [train: obj.reg Huber + obj.bce]
Published: 44 % on 24 unseen tasks; no parameter count
Ours: 61 % (54-67, n 200) on Desk, tiny: results/zoo/bcz.json; command: embodia bench zoo --policy bcz
Deviations: the sentence vector is MiniLM's, not the universal sentence encoder's; demonstrations of people are not a
  condition here; the body's state is read; one perceptron writes all waypoints, the paper has one for each part of the
  action; tiny sees through keypoints that the sentence steers and estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from embodia.builders.recurrent import conditioned_eyes
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.normalize import Mode, Normalizer
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.error import ErrorConfig, gripper_choices
from embodia.parts.decoders.pooled import PooledConfig, PooledRegression
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig
from embodia.parts.encoders.language import LanguageToken
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.parts.encoders.state import StateToken
from embodia.parts.encoders.waypoints import END, Waypoints


def _head() -> PooledConfig:
    return PooledConfig(error=ErrorConfig(error="huber"))


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's. `width` matters to keypoints alone: a ResNet has its own."""

    chunk: int = 10
    vision: ResNetConfig | KeypointStemConfig = field(default_factory=ResNetConfig)
    vector: int = 512
    width: int = 512
    deep: bool = False
    ahead: tuple[int, ...] = ()
    ahead_weight: float = 0.5
    head: PooledConfig = field(default_factory=_head)
    normalization: Mode = "mean_std"
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 3 M with steered keypoints; small 10 M with a group-norm ResNet-18 of half width; paper as published."""
    if size == "tiny":
        return Config(chunk=12, vision=KeypointStemConfig(), width=128, deep=True, ahead=(12, 24, 48, END))
    if size == "small":
        return Config(vision=ResNetConfig(norm="group", width=32), deep=True)
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    seen, actions, known = contract.observation, contract.action, statistics or {}
    eyes, width = conditioned_eyes(config.vision, seen, config.width, config.vector)
    encoders: dict[str, nn.Module] = {"image": eyes, "state": StateToken(seen.state_dim, width, deep=config.deep)}
    if seen.language:
        encoders["language"] = LanguageToken(width, deep=config.deep)
    units = Normalizer(actions.dim, config.normalization, known.get(actions.statistics_key))
    tokens = eyes.tokens + len(encoders) - 1
    read = (*encoders, *(("ahead",) if config.ahead else ()))
    parts = Parts(
        encoders=encoders,
        decoder=PooledRegression(
            config.head,
            width,
            actions.dim,
            config.chunk,
            read=read,
            tokens=tokens + bool(config.ahead),
            grippers=gripper_choices(actions, units),
        ),
        state=Normalizer(seen.state_dim, config.normalization, known.get("state")),
        action=units,
        foresight=Waypoints(width, seen.state_dim, config.ahead, tokens) if config.ahead else None,
        weights={"foresight": config.ahead_weight, "gripper": 0.1},
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)
