"""Figure 01: a vision-language model plans and calls skills; a neural policy carries the called skill out.

Title: Figure 01 speech-to-speech reasoning demonstration
Year: 2024
Source: Figure AI, demonstration; no paper
Composition: bb.vlm planner -> link.tool -> neural policy(head.regress, 24 DoF, 200 Hz) -> run.control(whole body, 1000
  Hz) [train: obj.reg, the choice of skill learned through the call]
Published: 200 Hz, 24 degrees of freedom; no sizes
Ours: not yet measured; command: embodia bench zoo --policy figure01
Deviations: skills and their descriptions are ours; the planner is trained together with the skills, where the original
  was not; tiny sees through keypoints, and the skills estimate states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from embodia.builders.families import llava_7b
from embodia.builders.two_systems import (
    LowerConfig,
    MotorConfig,
    RatesConfig,
    SystemsConfig,
    lower_encoders,
    lower_waypoints,
    units,
    upper_model,
    upper_system,
    visuomotor,
)
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.parts.compose import Composition, Parts, chunked
from embodia.parts.encoders.language import EMBEDDING_WIDTH, embed_sentence, sentence_vectors
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.parts.links.tool import Tool, ToolLink

SKILLS = (
    Tool(name="reach", description="move the hand to a thing and touch it"),
    Tool(name="push", description="push a thing along the table in a direction or to a place"),
    Tool(name="place", description="pick a thing up and put it into or onto something"),
    Tool(name="stack", description="put one thing on top of another"),
    Tool(name="open", description="pull a drawer or door open, or push it closed"),
    Tool(name="press", description="press a button or flip a switch"),
    Tool(name="insert", description="put a peg into a socket"),
    Tool(name="pour", description="tilt a cup until its content falls out"),
)


def _published() -> SystemsConfig:
    lower = LowerConfig(vision=ResNetConfig(), width=512, deep=False)
    return SystemsConfig(upper=llava_7b(), lower=lower, rates=RatesConfig(every=50, stale=25, execute=4))


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; `tools` are what the planner may call."""

    chunk: int = 40
    systems: SystemsConfig = field(default_factory=_published)
    tools: tuple[Tool, ...] = SKILLS
    motor: MotorConfig = field(default_factory=MotorConfig)


def preset(size: str) -> Config:
    """tiny 4 M, both systems with keypoints; small 62 M; paper 7 B, since the real size is unknown."""
    return Config(**visuomotor(size))


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract; the skills never read the instruction."""
    seen, systems = contract.observation, config.systems
    above, model = upper_model(systems.upper, seen, {"call": 2})
    describe = partial(sentence_vectors, embed=embed_sentence)
    wide, width = systems.upper.model.width, systems.lower.width
    link = ToolLink(wide, width, config.tools, describe, vector=EMBEDDING_WIDTH, read="call")
    encoders = lower_encoders(systems.lower, seen)
    state, action = units(contract, systems.normalization, statistics)
    upper = upper_system(systems, above, model, link)
    backbone, decoder = config.motor.build(contract.action.dim, config.chunk)
    parts = Parts(
        encoders=encoders,
        upper=upper,
        backbone=backbone,
        decoder=decoder,
        foresight=lower_waypoints(systems.lower, seen, encoders, {"tool": 2}),
        state=state,
        action=action,
        weights={"foresight": 0.5},
        inference=systems.rates.inference(),
    )
    return Composition(chunked(contract, config.chunk), parts)
