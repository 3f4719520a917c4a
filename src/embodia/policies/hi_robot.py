"""Hi Robot: one model says the next small step in words, pi0 carries it out.

Title: Hi Robot: Open-Ended Instruction Following with Hierarchical Vision-Language-Action Models
Year: 2025
Source: arXiv 2502.19417
Composition: bb.vlm(PaliGemma 3B, about 1 Hz, hears corrections) -> link.text -> pi0 [train: obj.ntp on sub-tasks
  above, obj.fm below]
Published: two models on PaliGemma 3B; no joint count
Ours: 49 % (42-56, n 200) on Desk, tiny: results/zoo/hi_robot.json; command: embodia bench zoo --policy hi_robot
Deviations: dialogues are the sub-tasks written from the simulator's state, not synthesised ones; a correction is a new
  instruction; tiny says words of a small list, its lower model hears the instruction too, both see through keypoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from embodia.builders.families import paligemma_3b
from embodia.builders.speaking import SpeakerConfig, thinker
from embodia.builders.two_systems import RatesConfig
from embodia.builders.vlm import VlmConfig, small_vlm, vision_language
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.transformer import TransformerConfig
from embodia.parts.compose import Composition, Parts, chunked
from embodia.parts.encoders.keypoint_stem import QUICK_EYES
from embodia.parts.links.text import TextLink
from embodia.parts.thought import ThoughtConfig
from embodia.parts.upper import Upper
from embodia.policies import pi0


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's. `lower` is a pi0; `answers` is the kind of text above.

    beside  the lower model hears the instruction too, before what was said
    """

    chunk: int = 50
    upper: VlmConfig = field(default_factory=paligemma_3b)
    thought: ThoughtConfig = field(default_factory=lambda: ThoughtConfig(length=32))
    answers: str = "subtask"
    lower: pi0.Config = field(default_factory=pi0.Config)
    rates: RatesConfig = field(default_factory=lambda: RatesConfig(every=2, stale=0, execute=25))
    beside: bool = False


def preset(size: str) -> Config:
    """tiny 4.9 M, both with keypoints; small 110 M; paper two PaliGemmas and an expert."""
    if size == "tiny":
        model = TransformerConfig(width=96, depth=3, heads=3, kv_heads=3, head_dim=32, mlp_width=192)
        return Config(
            chunk=12,
            upper=VlmConfig(vision=QUICK_EYES, model=model),
            thought=ThoughtConfig(length=16),
            lower=pi0.preset("tiny"),
            rates=RatesConfig(every=4, stale=2, execute=4),
            beside=True,
        )
    if size == "small":
        return Config(chunk=32, upper=small_vlm(), lower=pi0.preset("small"))
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    encoders, model = vision_language(config.upper, contract.observation, outputs=False)
    speech = SpeakerConfig(vlm=config.upper, thought=config.thought, answers=config.answers)
    thought = thinker(speech, model, config.upper.model.width)
    rates = config.rates
    upper = Upper(
        encoders,
        TextLink(),
        backbone=model,
        thought=thought,
        every=rates.every,
        stale=rates.stale,
        spoken=True,
        beside=config.beside,
    )
    lower = pi0.build(contract, replace(config.lower, chunk=config.chunk), statistics)
    parts = Parts(
        encoders=dict(lower.encoders.items()),
        upper=upper,
        answers=config.answers,
        backbone=lower.backbone,
        decoder=lower.decoder,
        state=lower.state_units,
        action=lower.action_units,
        inference=rates.inference(),
    )
    return Composition(chunked(contract, config.chunk), parts)
