"""Policies that speak: a vision-language model that says actions as words, and, where it thinks, its thoughts before.

What OpenVLA, RT-2, pi0-FAST, NORA, ECoT and their kin have in common is here; their files say what is their own: sizes,
prompts, tokenizers, what is said before the action. The one thing to watch: ids at the end of a public vocabulary carry
the actions; which ones, and in which order, is part of a checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import nn

from embodia.builders.vlm import TextConfig, VlmConfig, tokenizer, vision_language
from embodia.core.errors import ConfigError
from embodia.core.specs import Contract, ObservationSpec
from embodia.core.statistics import FeatureStatistics
from embodia.nn.normalize import Mode, Normalizer
from embodia.nn.shared import Shared
from embodia.nn.vocabulary import Vocabulary
from embodia.parts.backbones.language_model import LanguageModel
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.autoregressive import TokenConfig, TokenDecoder
from embodia.parts.encoders.trace import Newest
from embodia.parts.encoders.waypoints import Waypoints
from embodia.parts.thought import Spelling, Thought, ThoughtConfig
from embodia.parts.tokenizers.fast import Alphabet, FastTokenizer
from embodia.parts.tokenizers.numbers import CHARACTERS, NumberTokenizer
from embodia.parts.tokenizers.uniform import UniformTokenizer
from embodia.parts.tokenizers.vocabulary_map import VocabularyMap, last_ids
from embodia.parts.tokenizers.words import SpokenPieces, WordTokenizer


@dataclass(frozen=True, kw_only=True)
class SpeechConfig:
    """Actions as words.

    kind     "uniform": bins a dimension and step; "fast": a compressed chunk; "numbers": written out
    ids      bins, or pieces that FAST learns
    edges    ids of bins are their edges, see `UniformTokenizer`
    scale    of FAST, `precision` digits of written numbers
    alphabet of FAST, `longest` ids a chunk has at most, 0 = one a coefficient
    mapped   ids live in the language model's vocabulary, counted backwards from its end, `spared` of them left alone
             (written numbers are its own characters); otherwise the actions have a table of their own
    before   text that is said before every action, `mark` text that closes one before the end
    tokens   how they are spoken
    """

    kind: Literal["uniform", "fast", "numbers"] = "uniform"
    ids: int = 256
    edges: bool = False
    scale: float = 10.0
    alphabet: Alphabet = "symbols"
    longest: int = 0
    precision: int = 2
    mapped: bool = False
    spared: int = 0
    before: str = ""
    mark: str = ""
    tokens: TokenConfig = field(default_factory=TokenConfig)


@dataclass(frozen=True, kw_only=True)
class SpeakerConfig:
    """A policy that speaks.

    chunk    steps that are said at a time; bins say every dimension of every step, so a long one is slow
    thought  said before the action; None acts at once
    answers  the kind of text that the thought learns from
    history  observations that are seen; the prefix reads the newest alone, `extra` encoders all
    ahead    steps at which a small head estimates states to come, as one more token and loss; needs one sentence vector
    """

    chunk: int = 4
    vlm: VlmConfig = field(default_factory=VlmConfig)
    speech: SpeechConfig = field(default_factory=SpeechConfig)
    thought: ThoughtConfig | None = None
    answers: str = ""
    thought_weight: float = 1.0
    history: int = 1
    ahead: tuple[int, ...] = ()
    ahead_weight: float = 0.5
    normalization: Mode = "quantile"
    inference: Inference = field(default_factory=Inference)


def speaker(
    contract: Contract,
    config: SpeakerConfig,
    statistics: Mapping[str, FeatureStatistics] | None = None,
    extra: Mapping[str, nn.Module] | None = None,
    image: nn.Module | None = None,
) -> Composition:
    """The policy with random weights for a body's contract; `extra` encoders are read after the prefix.

    `image` are eyes that exist already, in place of those that the configuration asks for.
    """
    seen, actions, known = contract.observation, contract.action, statistics or {}
    encoders, backbone = vision_language(
        config.vlm, seen, outputs=config.speech.tokens.start < 0, extra=extra, ahead=bool(config.ahead), image=image
    )
    speech = spelled_out(config.speech, config.vlm.text)
    width = config.vlm.model.width
    foresight = estimate(config, seen, encoders, width)
    if config.history > 1:
        encoders = {name: one if name in (extra or {}) else Newest(one) for name, one in encoders.items()}
    parts = Parts(
        encoders=encoders,
        backbone=backbone,
        thought=thinker(config, backbone, width),
        answers=config.answers,
        decoder=action_words(speech, backbone, width, actions.dim, config.chunk),
        foresight=foresight,
        state=Normalizer(seen.state_dim, config.normalization, known.get("state")),
        action=Normalizer(actions.dim, config.normalization, known.get(actions.statistics_key)),
        weights={"thought": config.thought_weight, "foresight": config.ahead_weight},
        history=config.history,
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)


def action_words(speech: SpeechConfig, backbone: LanguageModel, width: int, dim: int, chunk: int) -> TokenDecoder:
    """The decoder that says chunks of `dim` numbers. Raises `ConfigError` where a model has no words."""
    made: nn.Module
    if speech.kind == "fast":
        made = FastTokenizer(chunk, dim, speech.ids, speech.scale, speech.longest, speech.alphabet)
    elif speech.kind == "numbers":
        made = NumberTokenizer(chunk, dim, speech.precision)
    else:
        made = UniformTokenizer(chunk, dim, speech.ids, edges=speech.edges)
    layout: Literal["steps", "varying"] = "steps" if speech.kind == "uniform" else "varying"
    tokens = replace(speech.tokens, layout=layout)
    if not speech.mapped:
        return TokenDecoder(made, width, tokens, chunk=chunk)
    words = _words(backbone)
    places = last_ids(words.size, int(made.vocabulary), speech.spared)  # type: ignore[arg-type]
    if speech.kind == "numbers":
        places = torch.tensor([speech.spared + ord(character) for character in CHARACTERS])
    return TokenDecoder(VocabularyMap(made, words.size, places), Shared(words), tokens, chunk=chunk)


def spelled_out(speech: SpeechConfig, text: TextConfig) -> SpeechConfig:
    """`speech` with its frame as pieces of the model that reads `text`; the mark's first piece then ends an action."""
    if not (speech.before or speech.mark):
        return speech
    pieces, tokens = tokenizer(text), speech.tokens
    said = replace(tokens, before=tuple(pieces.plain(speech.before)))
    if speech.mark:
        end, *rest = pieces.plain(speech.mark)
        said = replace(said, end=end, after=(*rest, tokens.end))
    return replace(speech, tokens=said)


def thinker(config: SpeakerConfig, backbone: LanguageModel, width: int) -> Thought | None:
    """What speaks before the action: in the model's own words where its prompt has pieces, else in a table of words."""
    if config.thought is None:
        return None
    spelling: Spelling = WordTokenizer(config.thought.length)
    if config.vlm.text.kind == "sentence":
        return Thought(width, spelling, config.thought)
    return Thought(Shared(_words(backbone)), _spelling(config.vlm.text, config.thought.length), config.thought)


def estimate(
    config: SpeakerConfig, spec: ObservationSpec, encoders: Mapping[str, nn.Module], width: int
) -> Waypoints | None:
    """The head that estimates states to come. Raises `ConfigError` for prompts, which differ in length."""
    if not config.ahead:
        return None
    if config.vlm.text.kind != "sentence":
        raise ConfigError("states ahead are estimated beside one sentence vector", leaf="ahead")
    tokens = int(encoders["image"].tokens) + sum(name in encoders for name in ("state", "language"))  # type: ignore[arg-type]
    return Waypoints(width, spec.state_dim, config.ahead, tokens)


def _words(backbone: LanguageModel) -> Vocabulary:
    if backbone.vocabulary is None:
        raise ConfigError("a model without words cannot say actions or thoughts in them", leaf="vocabulary")
    return backbone.vocabulary


def _spelling(text: TextConfig, length: int) -> SpokenPieces:
    return SpokenPieces(tokenizer(text), start=max(0, text.start), end=text.stop, length=length)
