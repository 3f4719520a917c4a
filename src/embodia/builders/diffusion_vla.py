"""Vision-language models with a diffusion head: what CogACT, TinyVLA, HybridVLA, DiVLA and ChatVLA have in common.

Their files say what is their own: which model reads, what the head is told (one learned token, the mean of all tokens
with the raw state, or the model's own sequence), which network denoises, and whether something is said before acting.
The one thing to watch: a head that is told one vector sees of the pictures what the model thought worth a vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from torch import nn

from embodia.builders.speaking import SpeakerConfig, estimate, thinker
from embodia.builders.vlm import VlmConfig, vision_language
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.mixture import MixtureConfig
from embodia.nn.normalize import Mode, Normalizer
from embodia.nn.transformer import TransformerConfig
from embodia.nn.unet1d import UNet1d, UNetConfig
from embodia.parts.backbones.language_model import LanguageModel
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.balance import BalanceHead
from embodia.parts.decoders.diffusion import ChunkDiffusion, DiffusionConfig
from embodia.parts.decoders.dit import AdaptiveDit, DitConfig, TokenDit
from embodia.parts.decoders.in_sequence import InSequence
from embodia.parts.decoders.told import ToldDenoiser
from embodia.parts.encoders.queries import LearnedTokens
from embodia.parts.encoders.state import StateVector
from embodia.parts.thought import ThoughtConfig

NetConfig: TypeAlias = DitConfig | UNetConfig | None


@dataclass(frozen=True, kw_only=True)
class DiffusionVlaConfig:
    """A vision-language model whose actions are denoised.

    told     "token": one learned token that the model reads last; "mean": the mean of its hidden states and the raw
             state; "sequence": the model denoises by itself, `net` is then None
    spelled  pieces in place of the learned token; the head is told the hidden state of the last one
    net      the denoiser
    thought  what is said before acting and modulates the mean; `answers` names the kind of text it learns from
    ahead    steps at which a small head estimates states to come, as one more token and loss; needs one sentence vector
    weights  of loss terms, 1 where not named
    """

    chunk: int = 12
    vlm: VlmConfig = field(default_factory=VlmConfig)
    thought: ThoughtConfig | None = None
    answers: str = ""
    told: Literal["token", "mean", "sequence"] = "token"
    spelled: tuple[int, ...] = ()
    net: NetConfig = field(default_factory=lambda: DitConfig(width=192, depth=3, heads=6))
    diffusion: DiffusionConfig = field(default_factory=lambda: DiffusionConfig(draws=4))
    ahead: tuple[int, ...] = ()
    weights: Mapping[str, float] = field(default_factory=lambda: {"foresight": 0.5})
    normalization: Mode = "min_max"
    inference: Inference = field(default_factory=Inference)


def tiny_vlm(depth: int = 4) -> VlmConfig:
    """The tiny reader, a little narrower, so that a head and an estimate of states to come fit beside it."""
    model = TransformerConfig(width=192, depth=depth, heads=4, kv_heads=4, head_dim=48, mlp_width=384)
    return VlmConfig(model=model)


@dataclass(frozen=True)
class DiffusionVla:
    """What `diffusion_vla` made, to be composed or to be extended first."""

    encoders: dict[str, nn.Module]
    backbone: LanguageModel
    decoder: ChunkDiffusion


def diffusion_vla(contract: Contract, config: DiffusionVlaConfig) -> DiffusionVla:
    """Encoders, model and head with random weights for a body's contract."""
    seen, actions, width = contract.observation, contract.action, config.vlm.model.width
    learned = config.told == "token" and not config.spelled
    token = {"cognition": LearnedTokens("cognition", 1, width)} if learned else {}
    pieces = {"pause": config.spelled[:-1], "cognition": config.spelled[-1:]} if config.spelled else {}
    outputs, ahead = config.told != "sequence", ("ahead",) if config.ahead else ()
    encoders, backbone = vision_language(
        config.vlm, seen, outputs=outputs, extra=token, ahead=bool(ahead), spelled=pieces
    )
    if config.told == "mean":
        read = (*encoders, *ahead)
        encoders["proprio"] = StateVector("proprio")
        inner = _denoiser(config, actions.dim, width)
        words = "thought" if config.thought else ""
        net: nn.Module = ToldDenoiser(inner, width, seen.state_dim, read=read, reasoning=words)
        head = ChunkDiffusion(config.diffusion, net, actions.dim, config.chunk)
    elif config.told == "token":
        blank = width if config.diffusion.drop else 0
        net = _denoiser(config, actions.dim, width)
        head = ChunkDiffusion(config.diffusion, net, actions.dim, config.chunk, read=("cognition",), blank=blank)
    else:
        net = InSequence(width, actions.dim, within="causal" if config.vlm.causal else "full")
        head = ChunkDiffusion(config.diffusion, net, actions.dim, config.chunk)
    return DiffusionVla(encoders, backbone, head)


def composed(
    contract: Contract,
    config: DiffusionVlaConfig,
    made: DiffusionVla,
    statistics: Mapping[str, FeatureStatistics] | None,
    *,
    decoder: nn.Module | None = None,
) -> Composition:
    """The policy; `decoder` takes the place of the diffusion head alone."""
    seen, actions, known = contract.observation, contract.action, statistics or {}
    routed = isinstance(config.vlm.model, MixtureConfig) and config.vlm.model.mixture == "routed"
    thinking, width = SpeakerConfig(vlm=config.vlm, thought=config.thought, ahead=config.ahead), config.vlm.model.width
    parts = Parts(
        encoders=made.encoders,
        backbone=made.backbone,
        thought=thinker(thinking, made.backbone, width),
        foresight=estimate(thinking, seen, made.encoders, width),
        answers=config.answers,
        heads={"balance": BalanceHead()} if routed else {},
        weights=config.weights,
        decoder=decoder or made.decoder,
        state=Normalizer(seen.state_dim, config.normalization, known.get("state")),
        action=Normalizer(actions.dim, config.normalization, known.get(actions.statistics_key)),
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)


def _denoiser(config: DiffusionVlaConfig, action_dim: int, width: int) -> nn.Module:
    if isinstance(config.net, UNetConfig):
        return UNet1d(config.net, action_dim, width)
    kind = TokenDit if config.told == "token" else AdaptiveDit
    return kind(config.net or DitConfig(), action_dim, config.chunk, width)
