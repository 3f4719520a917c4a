"""WorldVLA: one model says actions and, given actions, foretells the picture; each half helps the other.

Title: WorldVLA: Towards Autoregressive Action World Model
Year: 2025
Source: arXiv 2506.21539
Composition: vis.vq_image + txt.bpe + tok.uniform -> bb.unified(Chameleon 7B; earlier actions of a chunk are hidden
  from later ones) -> head.parallel actions and head.image(next picture, given actions) [train: obj.ce + obj.frame]
Published: 7 B parameters, rounded; LIBERO 81.8 % at 512 pixels
Ours: not yet measured; command: embodia bench zoo --policy worldvla
Deviations: with earlier actions hidden each step's ids depend on the senses alone, so they are said at once; so are the
  cells of the next picture; codes come from an autoencoder that learns beside the policy; tiny sees through keypoints
  and estimates states to come.
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
from embodia.parts.heads.next_picture import NextPicture
from embodia.parts.tokenizers.uniform import UniformTokenizer
from embodia.parts.tokenizers.vq_image import VqConfig, picture_codes


def _published() -> VlmConfig:
    text = TextConfig(kind="pieces", vocabulary=65536, head="own", length=64)
    return VlmConfig(text=text, model=VICUNA_7B, causal=True, deep=False)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's as far as it states them.

    coded   pictures are read as codes too; otherwise an eye reads them
    hidden  earlier actions of a chunk are hidden from later ones
    """

    chunk: int = 5
    vlm: VlmConfig = field(default_factory=_published)
    coded: bool = True
    hidden: bool = True
    codes: VqConfig = field(default_factory=lambda: VqConfig(widths=(64, 128, 256, 256), codes=8192, code=32))
    bins: int = 256
    ahead: tuple[int, ...] = ()
    world_weight: float = 0.04
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 4 M with steered keypoints; small 60 M; paper 7 B."""
    if size == "tiny":
        model = TransformerConfig(width=144, depth=4, heads=4, kv_heads=4, head_dim=36, mlp_width=384)
        codes = VqConfig(widths=(24, 48, 64, 96), codes=128)
        return Config(chunk=12, vlm=VlmConfig(model=model), coded=False, codes=codes, bins=128, ahead=(12, 24, 48, END))
    if size == "small":
        return Config(vlm=small_vlm(), coded=False, codes=VqConfig())
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract. Raises `ShapeError` for pictures that make no codes."""
    seen, dim, width = contract.observation, contract.action.dim, config.vlm.model.width
    codes = picture_codes(config.codes, seen)
    extra = {"act": LearnedTokens("act", config.chunk, width)}
    encoders, model = vision_language(config.vlm, seen, extra=extra, ahead=bool(config.ahead))
    if config.coded:
        encoders["image"] = CodeTokens(Shared(codes), config.codes.codes, width)
    if config.hidden:
        model.attention["act"] = tuple(name for name in model.attention["act"] if name != "act")
    state, action = units(contract, "quantile", statistics)
    tokenizer = UniformTokenizer(config.chunk, dim, config.bins)
    speaker = SpeakerConfig(vlm=config.vlm, ahead=config.ahead)
    world = NextPicture(Shared(codes), config.codes.codes, width, action_dim=dim, chunk=config.chunk)
    parts = Parts(
        encoders=encoders,
        backbone=model,
        decoder=ParallelDecoder(tokenizer, width, read="act", readouts=config.chunk),
        foresight=estimate(speaker, seen, encoders, width),
        heads={"codes": codes, "world": world},
        later=(config.chunk,),
        state=state,
        action=action,
        weights={"world": config.world_weight, "foresight": 0.5},
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)
