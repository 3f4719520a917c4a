"""UniAct: a vision-language model chooses a universal action, a small head of the body carries it out.

Title: Universal Actions for Enhanced Embodied Foundation Models
Year: 2025
Source: arXiv 2501.10105
Composition: bb.vlm(LLaVA-OneVision 0.5B) -> tok.universal(256 x 128) -> prop.by_body decoder -> act.space
  [train: obj.reg through a Gumbel softmax; data.mix 28 bodies]
Published: LIBERO 61 % with one view in the public code, 78 % in a survey, unconfirmed; 0.5 B, its language model
Ours: 67 % (60-73, n 200) on Desk, tiny: results/zoo/uniact.json; command: embodia bench zoo --policy uniact
Deviations: one body a policy, so one head; it reads the model's image tokens, where the public code has a ResNet-18,
  and the state as a token of its own; tiny has 32 codes, sees through keypoints that the sentence steers, reads the
  sentence as one vector and estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from embodia.builders.families import llava_ov_half_b
from embodia.builders.vlm import VlmConfig, small_vlm, vision_language
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.normalize import Mode, Normalizer
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.universal import UniversalConfig, UniversalDecoder
from embodia.parts.encoders.queries import LearnedTokens
from embodia.parts.encoders.waypoints import END, waypoints_beside
from embodia.parts.tokenizers.universal import UniversalCodebook


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's."""

    chunk: int = 4
    vlm: VlmConfig = field(default_factory=llava_ov_half_b)
    codes: int = 256
    code_width: int = 128
    head: UniversalConfig = field(default_factory=UniversalConfig)
    ahead: tuple[int, ...] = ()
    ahead_weight: float = 0.5
    normalization: Mode = "mean_std"
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 2.5 M with steered keypoints; small 50 M; paper as published."""
    if size == "tiny":
        return Config(
            chunk=12,
            ahead=(12, 24, 48, END),
            vlm=VlmConfig(),
            codes=32,
            code_width=64,
            head=UniversalConfig(hidden=256),
        )
    if size == "small":
        return Config(chunk=12, vlm=small_vlm(), codes=64)
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    seen, actions, known = contract.observation, contract.action, statistics or {}
    width = config.vlm.model.width
    encoders, backbone = vision_language(
        config.vlm, seen, extra={"readout": LearnedTokens("readout", 1, width)}, ahead=bool(config.ahead)
    )
    look = tuple(name for name in ("image", "state") if name in encoders)
    parts = Parts(
        encoders=encoders,
        backbone=backbone,
        decoder=UniversalDecoder(
            UniversalCodebook(config.codes, config.code_width),
            width,
            read="readout",
            seen=look,
            chunk=config.chunk,
            dim=actions.dim,
            config=config.head,
        ),
        state=Normalizer(seen.state_dim, config.normalization, known.get("state")),
        action=Normalizer(actions.dim, config.normalization, known.get(actions.statistics_key)),
        weights={"foresight": config.ahead_weight},
        foresight=waypoints_beside(encoders, width, seen.state_dim, config.ahead),
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)
