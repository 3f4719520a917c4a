"""The parts that every vision-language model with a flow expert shares: the model that reads, the expert that acts.

pi0 and its many descendants differ in how time enters, where the state is read, which layers look where and what is
added at the edges; those are fields and arguments here, and a policy file says which it takes. The one thing to watch:
`state="suffix"` takes the state through every integration step, all other ways read it once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from torch import nn

from embodia.builders.speaking import SpeakerConfig, SpeechConfig, action_words, thinker
from embodia.builders.vlm import ModelConfig, TextConfig, VlmConfig, small_vlm, vision_language
from embodia.core.errors import ConfigError
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.expert import ExpertConfig
from embodia.nn.mixture import MixtureConfig
from embodia.nn.normalize import Mode, Normalizer
from embodia.nn.transformer import TransformerConfig
from embodia.parts.backbones.action_expert import ActionExpert
from embodia.parts.backbones.hub import HubConfig
from embodia.parts.backbones.language_model import LanguageModel
from embodia.parts.compose import Composition, Parts, chunked
from embodia.parts.decoders.beside import DecoderHead
from embodia.parts.decoders.flow import FlowConfig, FlowDecoder
from embodia.parts.encoders.siglip import SiglipConfig
from embodia.parts.encoders.state import StateToken
from embodia.parts.thought import Thought, ThoughtConfig

GEMMA_2B = TransformerConfig(width=2048, depth=18, heads=8, kv_heads=1, head_dim=256, mlp_width=16384)
GEMMA_300M = TransformerConfig(width=1024, depth=18, heads=8, kv_heads=1, head_dim=256, mlp_width=4096)
GEMMA_TEXT = TextConfig(kind="pieces", first=217, start=2, vocabulary=257152, scale=0.0)
PALIGEMMA = VlmConfig(vision=SiglipConfig(), text=GEMMA_TEXT, model=GEMMA_2B, state="none", deep=False)

State = Literal["suffix", "prefix", "text", "binned", "none"]


@dataclass(frozen=True, kw_only=True)
class FlowVlaConfig:
    """Sizes and choices; the defaults are pi0's.

    state      "suffix" before the actions; "prefix" behind words and pictures, which do not see it; "text" inside the
               prompt; "binned": a token, seen by all, of the bins a text would hold; "none": encoded elsewhere
    kind       how time enters the expert and which of its layers look where
    padded     state and action dimensions inside the network, 0 = the contract's own
    insulated  cut the gradient from the actions into the model that reads
    thought    what is said before the action, and read by it; None says nothing
    knowledge  actions that the reader learns to say beside the expert's, so that it learns what acting needs although
               insulated; they are never said in use
    """

    vlm: VlmConfig = PALIGEMMA
    expert: TransformerConfig = GEMMA_300M
    state: State = "suffix"
    kind: ExpertConfig = field(default_factory=ExpertConfig)
    within: Literal["full", "causal"] = "full"
    padded: int = 32
    insulated: bool = False
    thought: ThoughtConfig | None = None
    knowledge: SpeechConfig | None = None
    flow: FlowConfig = field(default_factory=FlowConfig)
    normalization: Mode = "mean_std"


def small_vla(
    *, state: State = "suffix", kind: ExpertConfig | None = None, within: Literal["full", "causal"] = "full"
) -> FlowVlaConfig:
    """Of 60 M parameters: a small vision tower, a model of ten layers, one sentence vector."""
    expert = TransformerConfig(width=256, depth=10, heads=8, kv_heads=2, head_dim=64, mlp_width=1024)
    vlm = replace(small_vlm(), state="none")
    return FlowVlaConfig(vlm=vlm, expert=expert, state=state, kind=kind or ExpertConfig(), within=within, padded=0)


def tiny_vla(
    *, state: State = "suffix", kind: ExpertConfig | None = None, within: Literal["full", "causal"] = "full"
) -> FlowVlaConfig:
    """Of 4 M parameters: steered keypoints, four layers, four noises and times for every observation that is read."""
    model = TransformerConfig(width=192, depth=4, heads=4, kv_heads=4, head_dim=48, mlp_width=384)
    expert = replace(model, width=128)
    return FlowVlaConfig(
        vlm=VlmConfig(state="none", model=model),
        expert=expert,
        state=state,
        kind=kind or ExpertConfig(),
        within=within,
        flow=FlowConfig(draws=4),
        padded=0,
    )


@dataclass(frozen=True)
class FlowVla:
    """What `flow_vla` made: encoders in the order in which they are read, the reader, the expert, what else is learned.

    `heads` are losses beside the flow's.
    """

    encoders: dict[str, nn.Module]
    backbone: LanguageModel
    decoder: FlowDecoder
    thought: Thought | None = None
    heads: dict[str, nn.Module] = field(default_factory=dict)


def flow_vla(
    contract: Contract,
    chunk: int,
    config: FlowVlaConfig,
    *,
    senses: Mapping[str, nn.Module] | None = None,
    later: Mapping[str, nn.Module] | None = None,
    beside: Mapping[str, nn.Module] | None = None,
    guide: nn.Module | None = None,
    outputs: bool = False,
) -> FlowVla:
    """Encoders, reader and decoder with random weights for a body's contract.

    senses   further encoders, by the group they make; pictures, words and these see one another
    later    encoders of groups that see all before them and that nothing before them sees
    beside   encoders of groups that only a guide or a head reads
    guide    what is added to the expert's tokens before they become a velocity
    outputs  hidden states of the reader are used

    Raises `ConfigError` when reader and expert cannot share a cache.
    """
    require_same_cache(config.vlm.model, config.expert)
    prefix, suffix = _states(contract, config)
    mixed = {**(senses or {}), **(prefix if config.state == "binned" else {})}
    behind = {**(prefix if config.state == "prefix" else {}), **(later or {})}
    encoders, model = vision_language(config.vlm, contract.observation, outputs=outputs, extra={**mixed, **behind})
    if mixed and not config.vlm.causal:
        together = tuple(name for name in encoders if name not in behind)
        model.attention.update(dict.fromkeys(together, together))
    reader = SpeakerConfig(vlm=config.vlm, thought=config.thought)
    thought = thinker(reader, model, config.vlm.model.width)
    if not (outputs or thought or config.knowledge):
        silence(model)
    spoken = () if thought is None else (thought.name,)
    seen, width = (*encoders, *spoken), config.padded or contract.action.dim
    table = {**{name: (*seen, name) for name in suffix}, "action": (*seen, *suffix, "action")}
    expert = ActionExpert(
        config.expert,
        width,
        chunk,
        table,
        optional=spoken,
        expert=config.kind,
        within=config.within,
        insulated=config.insulated,
        guide=guide,
    )
    decoder = FlowDecoder(expert, config.flow, contract.action.dim, chunk, width)
    heads = _knowledge(contract, chunk, config, model)
    return FlowVla({**encoders, **suffix, **(beside or {})}, model, decoder, thought, heads)


def _knowledge(contract: Contract, chunk: int, config: FlowVlaConfig, model: LanguageModel) -> dict[str, nn.Module]:
    if config.knowledge is None:
        return {}
    said = action_words(config.knowledge, model, config.vlm.model.width, contract.action.dim, chunk)
    return {"knowledge": DecoderHead(said)}


def _states(contract: Contract, config: FlowVlaConfig) -> tuple[dict[str, nn.Module], dict[str, nn.Module]]:
    """The encoder of the state in the prefix and that in the suffix, at most one of them."""
    size = contract.observation.state_dim
    if not size or config.state in ("text", "none"):
        return {}, {}
    width = (config.expert if config.state == "suffix" else config.vlm.model).width
    token = StateToken(
        size, width, padded=config.padded, positions=False, deep=config.vlm.deep, binned=config.state == "binned"
    )
    return ({}, {"state": token}) if config.state == "suffix" else ({"state": token}, {})


def silence(model: LanguageModel) -> None:
    """Freeze what cannot learn in a model whose hidden states nobody reads: most of its last layer, a head of words."""
    for parameter in model.engine.unread_parameters():  # type: ignore[operator]
        parameter.requires_grad_(False)
    if model.vocabulary is not None and model.vocabulary.head is not None:
        model.vocabulary.head.requires_grad_(False)


def require_same_cache(reader: ModelConfig, expert: TransformerConfig) -> None:
    """Raise `ConfigError` unless `expert` can look at what `reader` cached: equal heads, equally turned."""
    reader = reader.base if isinstance(reader, MixtureConfig) else reader
    if not isinstance(reader, TransformerConfig | HubConfig):
        raise ConfigError(f"a {type(reader).__name__} has no cache that an expert could read", leaf="vlm.model")
    head_dim = reader.head_dim or reader.width // reader.heads
    theta = reader.rope_theta if isinstance(reader, TransformerConfig) else reader.theta
    theirs, ours = (reader.kv_heads, head_dim, theta), (expert.kv_heads, expert.head_dim, expert.rope_theta)
    if theirs != ours:
        raise ConfigError(
            f"heads, their size and turning are {theirs} where it reads, {ours} where it acts", leaf="expert"
        )


def flow_policy(
    contract: Contract,
    chunk: int,
    config: FlowVlaConfig,
    made: FlowVla | None,
    statistics: Mapping[str, FeatureStatistics] | None,
    **more: Any,
) -> Composition:
    """The policy of the parts that `flow_vla` made, None has it make them; `more` are further fields of `Parts`."""
    made = made or flow_vla(contract, chunk, config)
    seen, acted, known = contract.observation, contract.action, statistics or {}
    parts = Parts(
        encoders=made.encoders,
        backbone=made.backbone,
        decoder=more.pop("decoder", made.decoder),
        thought=more.pop("thought", made.thought),
        heads={**made.heads, **more.pop("heads", {})},
        state=Normalizer(seen.state_dim, config.normalization, known.get("state")),
        action=Normalizer(acted.dim, config.normalization, known.get(acted.statistics_key)),
        **more,
    )
    return Composition(chunked(contract, chunk), parts)
