"""Gemini Robotics: a large backbone in the cloud sends a course, a small decoder on the robot keeps it.

Title: Gemini Robotics: Bringing AI into the Physical World
Year: 2025
Source: arXiv 2503.20020
Composition: bb.vlm(cloud) -> link.traj + link.plan_tokens -> run.remote -> local bb.encdec -> head.regress, 50 Hz
  [train: obj.reg, gradient through the link, stale messages]
Published: about 250 ms from observation to action, 50 Hz; sizes are not published
Ours: not yet measured; command: embodia bench zoo --policy gemini_robotics
Deviations: sizes are ours; the backbone's course is regressed; tiny sees through keypoints, and its decoder estimates
  states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from embodia.builders.families import paligemma_3b
from embodia.builders.two_systems import (
    LowerConfig,
    MotorConfig,
    RatesConfig,
    SystemsConfig,
    lower_encoders,
    lower_waypoints,
    small_motor,
    small_systems,
    tiny_motor,
    tiny_systems,
    units,
    upper_model,
    upper_system,
)
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.shared import Shared
from embodia.parts.compose import Composition, Parts, chunked
from embodia.parts.decoders.pooled import PooledConfig, PooledRegression
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.parts.links.joined import JoinedLinks
from embodia.parts.links.tokens import TokenLink
from embodia.parts.links.traj import TrajectoryLink


def _published() -> SystemsConfig:
    lower = LowerConfig(vision=ResNetConfig(), width=512, deep=False)
    return SystemsConfig(upper=paligemma_3b(), lower=lower, rates=RatesConfig(every=4, stale=12, execute=3))


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices. `waypoint` is the distance of two points of the course in steps, `plan` tokens go with it."""

    chunk: int = 48
    systems: SystemsConfig = field(default_factory=_published)
    plan: int = 4
    waypoint: int = 8
    course: PooledConfig = field(default_factory=lambda: PooledConfig(pool="mean"))
    motor: MotorConfig = field(default_factory=MotorConfig)


def preset(size: str) -> Config:
    """tiny 4 M, both systems with keypoints; small 62 M; paper a backbone of 3 B, since the real one is unknown."""
    if size == "tiny":
        course = PooledConfig(pool="mean", hidden=(256,))
        return Config(chunk=12, systems=tiny_systems(), waypoint=4, course=course, motor=tiny_motor(encoder=1))
    if size == "small":
        return Config(chunk=32, systems=small_systems(), motor=small_motor())
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract; the local decoder never reads the instruction."""
    seen, dim, systems = contract.observation, contract.action.dim, config.systems
    above, model = upper_model(systems.upper, seen, {"plan": config.plan})
    wide, width = systems.upper.model.width, systems.lower.width
    course = PooledRegression(config.course, wide, dim, config.chunk, read=("plan",), tokens=config.plan)
    link = JoinedLinks(
        TrajectoryLink(Shared(course), config.chunk, dim, width, every=config.waypoint, cut=False),
        TokenLink(wide, width, read=("plan",), name="plan", count=config.plan),
    )
    encoders = lower_encoders(systems.lower, seen)
    state, action = units(contract, systems.normalization, statistics)
    upper = upper_system(systems, above, model, link, decoder=course)
    backbone, decoder = config.motor.build(dim, config.chunk)
    parts = Parts(
        encoders=encoders,
        upper=upper,
        backbone=backbone,
        decoder=decoder,
        foresight=lower_waypoints(systems.lower, seen, encoders, {"plan": config.plan}),
        state=state,
        action=action,
        weights={"foresight": 0.5, "upper_l1": 0.5},
        inference=systems.rates.inference(),
    )
    return Composition(chunked(contract, config.chunk), parts)
