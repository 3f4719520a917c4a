"""Being-H0: hand motion as words, learned from people, part by part; then few words for a robot's hand.

Title: Being-H0: Vision-Language-Action Pretraining from Large-Scale Human Videos
Year: 2025
Source: arXiv 2507.15597
Composition: bb.vlm(InternVL) + tok.motion(wrist, fingers) -> head.ar -> prop.retarget [train: obj.ce + obj.ntp on
  data.hand, then pt.sft]
Published: models of 1, 8 and 14 B parameters, rounded
Ours: 54 % (47-60, n 200) on Desk, tiny: results/zoo/being_h0.json; command: embodia bench zoo --policy being_h0
Deviations: InternVL2 2B stands for InternVL3; human hands are retargeted while data is made (parts/retarget.py), so
  that words mean the robot's motion from the beginning; actions have a table of their own; tiny sees through keypoints
  and estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from embodia.builders.families import internvl2
from embodia.builders.speaking import SpeakerConfig, estimate
from embodia.builders.two_systems import units
from embodia.builders.vlm import VlmConfig, small_vlm, vision_language
from embodia.core.specs import ActionSpec, Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.transformer import TransformerConfig
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.autoregressive import TokenConfig, TokenDecoder
from embodia.parts.encoders.waypoints import END
from embodia.parts.tokenizers.motion import MotionTokenizer
from embodia.parts.tokenizers.rvq import ResidualConfig


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's as far as it states them. Words cover `window` steps each."""

    chunk: int = 16
    vlm: VlmConfig = field(default_factory=lambda: replace(internvl2("2b"), state="token"))
    motion: ResidualConfig = field(default_factory=lambda: ResidualConfig(codes=1024, levels=8, width=256))
    window: int = 8
    ahead: tuple[int, ...] = ()
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 3 M with steered keypoints; small 50 M; paper 2 B."""
    if size == "tiny":
        model = TransformerConfig(width=160, depth=4, heads=4, kv_heads=4, head_dim=40, mlp_width=416)
        motion = ResidualConfig(codes=64, levels=2, width=64)
        return Config(chunk=12, vlm=VlmConfig(model=model), motion=motion, window=4, ahead=(12, 24, 48, END))
    if size == "small":
        return Config(vlm=small_vlm(), motion=ResidualConfig(codes=256, width=128))
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract; its tokenizer is fitted before training."""
    seen, width = contract.observation, config.vlm.model.width
    encoders, model = vision_language(config.vlm, seen, outputs=False, ahead=bool(config.ahead))
    tokenizer = MotionTokenizer(config.chunk, hand_parts(contract.action), config.motion, config.window)
    state, action = units(contract, "quantile", statistics)
    parts = Parts(
        encoders=encoders,
        backbone=model,
        decoder=TokenDecoder(tokenizer, width, TokenConfig(layout="whole"), chunk=config.chunk),
        foresight=estimate(SpeakerConfig(vlm=config.vlm, ahead=config.ahead), seen, encoders, width),
        state=state,
        action=action,
        weights={"foresight": 0.5},
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)


def hand_parts(spec: ActionSpec) -> dict[str, tuple[int, ...]]:
    """Dimensions of wrist and fingers: what grips or is a finger's joint is fingers, all else is wrist."""
    fine = ("gripper", "hand_joint_position")
    kinds = [part.representation in fine for part in spec.parts for _ in range(part.dim)]
    found = {
        "wrist": tuple(index for index, fingers in enumerate(kinds) if not fingers),
        "fingers": tuple(index for index, fingers in enumerate(kinds) if fingers),
    }
    return {name: dims for name, dims in found.items() if dims}
