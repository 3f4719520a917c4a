"""HiRT: a slow vision-language model's pooled feature modulates a fast convolutional policy.

Title: HiRT: Enhancing Robotic Control with Hierarchical Robot Transformers
Year: 2024
Source: arXiv 2410.05273
Composition: bb.vlm(InstructBLIP 7B) -> link.pool(attention pooling) -> vis.effnet + fuse.film -> head.regress [train:
  obj.reg + obj.bce, gradient through the link, stale messages] [run: run.async]
Published: real dynamic tasks from 48 to 75 %; the size is stated for the vision-language model alone
Ours: not yet measured; command: embodia bench zoo --policy hirt
Deviations: LLaVA 1.5 stands for InstructBLIP; the latent modulates the tokens the eye gives, not its inner layers; tiny
  sees through keypoints and estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from embodia.builders.families import llava_7b
from embodia.builders.two_systems import (
    LowerConfig,
    RatesConfig,
    SystemsConfig,
    lower_encoders,
    lower_waypoints,
    small_systems,
    tiny_systems,
    units,
    upper_model,
    upper_system,
)
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.parts.compose import Composition, Parts, chunked
from embodia.parts.decoders.error import ErrorConfig, gripper_choices
from embodia.parts.decoders.pooled import PooledConfig, PooledRegression
from embodia.parts.encoders.towers import TowerConfig
from embodia.parts.links.pool import PoolLink

EFFICIENTNET_B3 = TowerConfig(family="efficientnet", width=38, depth=14, widths=(1536,), pixels=300, scaling="imagenet")
"""10.7 M; the width is in 32nds, the depth in tenths of the smallest network's."""


def _published() -> SystemsConfig:
    lower = LowerConfig(vision=EFFICIENTNET_B3, width=512, deep=False)
    return SystemsConfig(upper=llava_7b(), lower=lower, rates=RatesConfig(every=4, stale=4, execute=1))


def _head() -> PooledConfig:
    return PooledConfig(pool="mean", error=ErrorConfig(error="l2"))


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's as far as it states them."""

    chunk: int = 1
    systems: SystemsConfig = field(default_factory=_published)
    head: PooledConfig = field(default_factory=_head)
    gripper_weight: float = 0.1


def preset(size: str) -> Config:
    """tiny 4 M, both systems with keypoints; small 57 M; paper 7 B and an EfficientNet-B3."""
    if size == "tiny":
        return Config(chunk=12, systems=tiny_systems(), head=PooledConfig(hidden=(256, 256)))
    if size == "small":
        return Config(chunk=8, systems=small_systems())
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract; the fast system never reads the instruction."""
    seen, actions, systems = contract.observation, contract.action, config.systems
    above, model = upper_model(systems.upper, seen, {"say": 4})
    encoders = lower_encoders(systems.lower, seen)
    width = systems.lower.width
    link = PoolLink(systems.upper.model.width, width, read=("say",), pool="attention", film=("image",))
    state, action = units(contract, systems.normalization, statistics)
    foresight = lower_waypoints(systems.lower, seen, encoders, {"latent": 1})
    read = (*encoders, "latent", *(("ahead",) if foresight else ()))
    tokens = int(encoders["image"].tokens) + len(read) - 1  # type: ignore[arg-type]
    choices = gripper_choices(actions, action)
    parts = Parts(
        encoders=encoders,
        upper=upper_system(systems, above, model, link),
        decoder=PooledRegression(
            config.head, width, actions.dim, config.chunk, read=read, tokens=tokens, grippers=choices
        ),
        foresight=foresight,
        state=state,
        action=action,
        weights={"foresight": 0.5, "gripper": config.gripper_weight},
        inference=systems.rates.inference(),
    )
    return Composition(chunked(contract, config.chunk), parts)
