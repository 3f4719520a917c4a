"""UP-VLA: one model that understands, foresees the picture and acts, so that acting does not undo understanding.

Title: UP-VLA: A Unified Understanding and Prediction Model for Embodied Agent
Year: 2025
Source: arXiv 2501.18867
Composition: vis.vit(understanding) + vis.vq_image(generation) -> bb.unified(Phi-1.5 1.3B) -> head.ar text +
  head.image(future codes) + head.regress [train: obj.ntp + obj.frame + obj.reg]
Published: CALVIN ABC to D 4.08 tasks in a row; 1.3 B parameters of the language model, rounded
Ours: not yet measured; command: embodia bench zoo --policy up_vla
Deviations: all cells of the later picture are said at once; codes come from an autoencoder that learns beside the
  policy; descriptions of the scene are the texts; tiny sees through keypoints and estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from embodia.builders.families import CLIP_L_336
from embodia.builders.speaking import SpeakerConfig, estimate, thinker
from embodia.builders.two_systems import units
from embodia.builders.vlm import TextConfig, VlmConfig, small_vlm, vision_language
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.shared import Shared
from embodia.nn.transformer import TransformerConfig
from embodia.parts.backbones.hub import HubConfig
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.error import gripper_choices
from embodia.parts.decoders.pooled import PooledConfig, PooledRegression
from embodia.parts.encoders.queries import LearnedTokens
from embodia.parts.encoders.waypoints import END
from embodia.parts.heads.codes import CodeForecast
from embodia.parts.thought import ThoughtConfig
from embodia.parts.tokenizers.vq_image import VqConfig, picture_codes


def _published() -> SpeakerConfig:
    model = HubConfig(family="phi", width=2048, depth=24, heads=32, kv_heads=32, mlp_width=8192)
    text = TextConfig(kind="pieces", vocabulary=51200, head="own", length=64)
    vlm = VlmConfig(vision=CLIP_L_336, text=text, model=model, causal=True, deep=False)
    return SpeakerConfig(vlm=vlm, thought=ThoughtConfig(length=96, silent=True), answers="scene")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; `speaker` holds the model and its texts, which are learned and not said in use."""

    chunk: int = 10
    speaker: SpeakerConfig = field(default_factory=_published)
    later: tuple[int, ...] = (10,)
    codes: VqConfig = field(default_factory=lambda: VqConfig(widths=(64, 128, 256, 256), codes=8192, code=32))
    head: PooledConfig = field(default_factory=lambda: PooledConfig(hidden=(1024, 512)))
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 4 M with steered keypoints; small 60 M; paper Phi-1.5."""
    if size == "tiny":
        model = TransformerConfig(width=128, depth=4, heads=4, kv_heads=4, head_dim=32, mlp_width=352)
        thought = ThoughtConfig(length=24, silent=True)
        speaker = SpeakerConfig(
            vlm=VlmConfig(model=model), thought=thought, answers="scene", ahead=(12, 24, 48, END), thought_weight=0.1
        )
        codes = VqConfig(widths=(24, 48, 64, 96), codes=128)
        return Config(chunk=12, speaker=speaker, later=(12,), codes=codes, head=PooledConfig(hidden=(256,)))
    if size == "small":
        thought = ThoughtConfig(length=64, silent=True)
        return Config(speaker=SpeakerConfig(vlm=small_vlm(), thought=thought, answers="scene"), codes=VqConfig())
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract. Raises `ShapeError` for pictures that make no codes."""
    seen, actions, speaker = contract.observation, contract.action, config.speaker
    width, codes = speaker.vlm.model.width, picture_codes(config.codes, contract.observation)
    extra = {"picture": LearnedTokens("picture", codes.count, width), "act": LearnedTokens("act", 1, width)}
    encoders, model = vision_language(speaker.vlm, seen, extra=extra, ahead=bool(speaker.ahead))
    state, action = units(contract, "mean_std", statistics)
    choices = gripper_choices(actions, action)
    foreseen = CodeForecast(Shared(codes), config.codes.codes, width, name="picture", read="picture")
    parts = Parts(
        encoders=encoders,
        backbone=model,
        thought=thinker(speaker, model, width),
        answers=speaker.answers,
        decoder=PooledRegression(config.head, width, actions.dim, config.chunk, read=("act",), grippers=choices),
        foresight=estimate(speaker, seen, encoders, width),
        heads={"codes": codes, "picture": foreseen},
        later=config.later,
        state=state,
        action=action,
        weights={"thought": speaker.thought_weight, "picture": 0.05, "gripper": 0.1, "foresight": 0.5},
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)
