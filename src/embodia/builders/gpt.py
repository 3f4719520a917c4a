"""A GPT over what was sensed, with learned query tokens behind it: GR-1, GR-2, DreamVLA, ARM4R.

Sentence, states and pictures of several moments come first; each kind of query token gathers what its head will say,
and sees the kinds it is allowed to. The one thing to watch: queries stand at the newest moment only, where the chunk
begins; the papers that predict at every moment of a window learn from more places at once, at the same optimum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import nn

from embodia.core.specs import ObservationSpec
from embodia.nn.transformer import Transformer, TransformerConfig
from embodia.parts.backbones.language_model import LanguageModel, block_table
from embodia.parts.encoders.clip_text import ClipText, ClipTextConfig
from embodia.parts.encoders.eyes import EyesConfig, eyes
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig
from embodia.parts.encoders.language import LanguageToken
from embodia.parts.encoders.queries import LearnedTokens
from embodia.parts.encoders.resampled import ResampledEyes, ResamplerConfig
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.parts.encoders.state import StateToken
from embodia.parts.encoders.towers import TowerConfig
from embodia.parts.encoders.waypoints import END, Waypoints
from embodia.parts.tokenizers.text import ByteTokenizer, FileTokenizer


@dataclass(frozen=True, kw_only=True)
class GptConfig:
    """Sizes and choices; the defaults are the tiny size, which learns on Desk.

    resampler  presses an eye's tokens, of width `inside`, into few; None keeps them
    frozen     the eye does not learn
    text       CLIP's text tower; None is a frozen MiniLM vector
    causal     each kind of token sees only earlier ones, each token only earlier ones of its kind
    ahead      steps at which the state to come is estimated, as one more token
    """

    vision: EyesConfig = field(default_factory=KeypointStemConfig)
    resampler: ResamplerConfig | None = None
    inside: int = 768
    frozen: bool = False
    text: ClipTextConfig | None = None
    model: TransformerConfig = field(
        default_factory=lambda: TransformerConfig(width=160, depth=4, heads=4, kv_heads=4, head_dim=40, mlp_width=416)
    )
    history: int = 1
    causal: bool = False
    deep: bool = True
    ahead: tuple[int, ...] = (12, 24, 48, END)


@dataclass(frozen=True, kw_only=True)
class Query:
    """`count` learned tokens; `sees` names the other queries they may look at, beside all that was sensed."""

    count: int = 1
    sees: tuple[str, ...] = ()


def small_gpt() -> GptConfig:
    """About 40 M parameters behind a group-norm ResNet of half width."""
    model = TransformerConfig(width=512, depth=10, heads=8, kv_heads=8, head_dim=64, mlp_width=1365)
    return GptConfig(vision=ResNetConfig(norm="group", width=32), model=model, history=2, causal=True, ahead=())


def video_gpt(model: TransformerConfig, pressed: ResamplerConfig, history: int, *, frozen: bool = False) -> GptConfig:
    """GR-1's senses at their published size: a masked autoencoder's ViT-B whose patches are `pressed`, CLIP's words."""
    vision = TowerConfig(family="vit_mae", width=768, depth=12, heads=12, hidden=3072, patch=16, scaling="imagenet")
    return GptConfig(
        vision=vision,
        resampler=pressed,
        frozen=frozen,
        text=ClipTextConfig(),
        model=model,
        history=history,
        causal=True,
        deep=False,
        ahead=(),
    )


def gpt_model(
    config: GptConfig, spec: ObservationSpec, queries: Mapping[str, Query], before: tuple[str, ...] = ()
) -> tuple[dict[str, nn.Module], LanguageModel, Waypoints | None]:
    """Encoders by group name, the transformer, and the estimate of states to come, if one is asked for.

    `before` names groups that others make (a latent) and that are read between senses and queries.
    """
    width = config.model.width
    encoders: dict[str, nn.Module] = {}
    if spec.language:
        encoders["language"] = _listening(config, width)
    if spec.state_dim:
        encoders["state"] = StateToken(spec.state_dim, width, config.history, deep=config.deep)
    encoders["image"] = _looking(config, spec, width)
    sensed = (*encoders, *before)
    foresight = None
    if config.ahead:
        tokens = config.history * int(encoders["image"].tokens)  # type: ignore[arg-type]
        tokens += (config.history if spec.state_dim else 0) + bool(spec.language)
        foresight = Waypoints(width, spec.state_dim, config.ahead, tokens)
        sensed = (*sensed, "ahead")
    table = block_table(*((name,) for name in sensed)) if config.causal else block_table(sensed)
    for name, query in queries.items():
        encoders[name] = LearnedTokens(name, query.count, width)
        table[name] = (*sensed, *query.sees, name)
    within: Literal["causal"] | None = "causal" if config.causal else None
    return encoders, LanguageModel(Transformer(config.model), table, within=within), foresight


def _listening(config: GptConfig, width: int) -> nn.Module:
    text = config.text
    if text is None:
        return LanguageToken(width, deep=config.deep)
    if text.file:
        return ClipText(text, FileTokenizer(text.file, text.length, text.vocabulary, start=None), width)
    return ClipText(text, ByteTokenizer(text.length), width)


def _looking(config: GptConfig, spec: ObservationSpec, width: int) -> nn.Module:
    if config.resampler is None:
        return eyes(config.vision, spec, width)
    eye = eyes(config.vision, spec, config.inside)
    return ResampledEyes(eye, config.resampler, config.inside, width, steps=config.history, frozen=config.frozen)
