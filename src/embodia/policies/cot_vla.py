"""CoT-VLA: first the picture of the sub-goal, then a chunk of actions that looks at it.

Title: CoT-VLA: Visual Chain-of-Thought Reasoning for Vision-Language-Action Models
Year: 2025
Source: arXiv 2503.22020
Composition: vis.vq_image -> bb.unified(VILA-U 7B, causal) -> head.image(sub-goal) -> link.goal -> act tokens with full
  attention -> tok.uniform + head.parallel(chunk 10) [train: obj.frame + obj.ce; data.video + data.rlds]
Published: 7 B parameters, rounded; LIBERO 88 / 92 / 88 / 69 %, whose mean is 83.9 % and is printed as 81.1 %
Ours: not yet measured; command: embodia bench zoo --policy cot_vla
Deviations: the cells of the sub-goal are said at once, and actions look at what the cells' tokens hold, not at the
  sampled picture; codes come from an autoencoder that learns beside the policy; tiny sees through keypoints and
  estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from embodia.builders.families import VICUNA_7B
from embodia.builders.speaking import SpeakerConfig, estimate
from embodia.builders.two_systems import units
from embodia.builders.vlm import TextConfig, VlmConfig, small_vlm, vision_language
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.shared import Shared
from embodia.nn.transformer import TransformerConfig
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.parallel import ParallelDecoder
from embodia.parts.encoders.code_tokens import CodeTokens
from embodia.parts.encoders.queries import LearnedTokens
from embodia.parts.encoders.waypoints import END
from embodia.parts.heads.codes import CodeForecast
from embodia.parts.tokenizers.uniform import UniformTokenizer
from embodia.parts.tokenizers.vq_image import VqConfig, picture_codes


def _published() -> VlmConfig:
    text = TextConfig(kind="pieces", vocabulary=32064, head="own", length=64)
    return VlmConfig(text=text, model=VICUNA_7B, causal=True, deep=False)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's as far as it states them.

    coded  pictures are read as codes too; otherwise an eye reads them
    later  how many steps away the sub-goal lies
    """

    chunk: int = 10
    vlm: VlmConfig = field(default_factory=_published)
    coded: bool = True
    codes: VqConfig = field(default_factory=lambda: VqConfig(widths=(64, 128, 256, 256), codes=16384, code=32))
    later: tuple[int, ...] = (20,)
    bins: int = 256
    ahead: tuple[int, ...] = ()
    picture_weight: float = 1.0
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 4 M with steered keypoints; small 60 M; paper 7 B."""
    if size == "tiny":
        model = TransformerConfig(width=144, depth=4, heads=4, kv_heads=4, head_dim=36, mlp_width=384)
        codes = VqConfig(widths=(24, 48, 64, 96), codes=128)
        return Config(
            chunk=12,
            vlm=VlmConfig(model=model),
            coded=False,
            codes=codes,
            bins=128,
            ahead=(12, 24, 48, END),
            picture_weight=0.05,
        )
    if size == "small":
        return Config(vlm=small_vlm(), coded=False, codes=VqConfig())
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract. Raises `ShapeError` for pictures that make no codes."""
    seen, dim, width = contract.observation, contract.action.dim, config.vlm.model.width
    codes = picture_codes(config.codes, seen)
    extra = {"goal": LearnedTokens("goal", codes.count, width), "act": LearnedTokens("act", config.chunk, width)}
    encoders, model = vision_language(config.vlm, seen, extra=extra, ahead=bool(config.ahead))
    if config.coded:
        encoders["image"] = CodeTokens(Shared(codes), config.codes.codes, width)
    state, action = units(contract, "quantile", statistics)
    tokenizer = UniformTokenizer(config.chunk, dim, config.bins)
    speaker = SpeakerConfig(vlm=config.vlm, ahead=config.ahead)
    goal = CodeForecast(Shared(codes), config.codes.codes, width, name="goal", read="goal")
    parts = Parts(
        encoders=encoders,
        backbone=model,
        decoder=ParallelDecoder(tokenizer, width, read="act", readouts=config.chunk),
        foresight=estimate(speaker, seen, encoders, width),
        heads={"codes": codes, "goal": goal},
        later=config.later,
        state=state,
        action=action,
        weights={"goal": config.picture_weight, "foresight": 0.5},
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)
