"""The one builder of vision-language models: eyes, words, state, and a language model that reads them.

Every policy on a language model is wired from this, from the smallest (keypoints that the sentence steers, a sentence
vector, four layers) to the published ones (`builders/families.py`). The one thing to watch: whoever reads hidden states
of the first call (a readout, a pooled vector) asks for `outputs`; whoever only speaks behind the cache does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from torch import nn

from embodia.core.specs import ObservationSpec
from embodia.nn.gpt import Gpt, GptConfig
from embodia.nn.mixture import MixtureConfig, MixtureTransformer
from embodia.nn.projector import ProjectorConfig
from embodia.nn.shared import Shared
from embodia.nn.transformer import Transformer, TransformerConfig
from embodia.nn.vocabulary import Head, Vocabulary
from embodia.parts.backbones.bart import BartConfig, BartEngine
from embodia.parts.backbones.hub import HubConfig, HubTransformer, filled
from embodia.parts.backbones.language_model import LanguageModel, block_table
from embodia.parts.backbones.mamba import MambaConfig, MambaEngine
from embodia.parts.encoders.eyes import EyesConfig, eyes
from embodia.parts.encoders.film_layers import SentenceMean
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig
from embodia.parts.encoders.language import LanguageToken
from embodia.parts.encoders.marked import MarkedPictures
from embodia.parts.encoders.prompt import PromptTokens
from embodia.parts.encoders.queries import SpelledTokens
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.parts.encoders.siglip import SiglipConfig
from embodia.parts.encoders.state import StateToken
from embodia.parts.tokenizers.text import ByteTokenizer, FileTokenizer

ModelConfig: TypeAlias = TransformerConfig | HubConfig | GptConfig | MixtureConfig | MambaConfig | BartConfig


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """How sentences become tokens.

    kind        "sentence": one frozen MiniLM vector; "pieces": text pieces embedded by the language model
    file        vocabulary of the pieces; "" reads bytes, whose pieces begin at the id `first`
    start       id of the piece that opens every prompt, -1 for none
    end         what closes every prompt
    stop        id of the piece that closes what is said
    length      pieces a prompt has at most
    vocabulary  words the language model knows, 0 for a model without words (only with "sentence")
    head, scale of the word table, see `nn.vocabulary`
    template    the prompt; {instruction} or, in small letters, {lowered}, and {state} are filled in, the state as
                integers below `state_bins`
    opens       the opening piece comes before all that is seen, as the group "opening" (Prismatic)
    heading     text before all that is seen, as the group "opening"
    marks       text before and behind every picture, whose {number} is filled in
    fill        id of the piece that fills a prompt up to its length and is read like any other; -1 masks the rest
    closing     id of a piece that closes the prefix, as the group "closing" and part of it; -1 for none
    openpi      fill it in as public checkpoints of pi0.5 and pi0-FAST learned it, see `parts.encoders.prompt`
    """

    kind: Literal["sentence", "pieces"] = "sentence"
    file: str = ""
    first: int = 3
    start: int = 1
    end: str = "\n"
    stop: int = 2
    length: int = 48
    vocabulary: int = 0
    head: Head = "tied"
    scale: float = 1.0
    template: str = "{instruction}"
    state_bins: int = 256
    opens: bool = False
    heading: str = ""
    marks: tuple[str, str] = ("", "")
    fill: int = -1
    closing: int = -1
    openpi: bool = False


@dataclass(frozen=True, kw_only=True)
class VlmConfig:
    """Sizes and choices of a vision-language model; the defaults are the tiny size, which learns on Desk.

    state   "token": the state is one more token; "none": it is not seen, or only inside the prompt
    causal  every token sees those before it (Llama, Qwen); otherwise the prefix sees itself whole (PaliGemma)
    deep    a hidden layer before the tokens of state and sentence
    film    the mean of the words modulates the layers of the towers (OpenVLA-OFT's OFT+)
    """

    vision: EyesConfig = field(default_factory=KeypointStemConfig)
    camera_embedding: bool = False
    projector: ProjectorConfig = field(default_factory=ProjectorConfig)
    text: TextConfig = field(default_factory=TextConfig)
    model: ModelConfig = field(
        default_factory=lambda: TransformerConfig(width=192, depth=4, heads=4, kv_heads=4, head_dim=48, mlp_width=512)
    )
    state: Literal["token", "none"] = "token"
    causal: bool = False
    deep: bool = True
    film: bool = False


def small_vlm() -> VlmConfig:
    """About 50 M parameters: a small vision tower and ten layers of width 512."""
    return VlmConfig(
        vision=SiglipConfig(width=384, depth=8, heads=6, hidden=1536, patch=16, pixels=128),
        camera_embedding=True,
        model=TransformerConfig(width=512, depth=10, heads=8, kv_heads=2, head_dim=64, mlp_width=2048),
        deep=False,
    )


def resnet_gpt(width: int, depth: int, heads: int) -> VlmConfig:
    """A GPT behind a group-norm ResNet-18, as the behaviour transformers have it."""
    model = GptConfig(width=width, depth=depth, heads=heads, hidden=4 * width)
    return VlmConfig(vision=ResNetConfig(norm="group"), model=model)


def vision_language(
    config: VlmConfig,
    spec: ObservationSpec,
    *,
    outputs: bool = True,
    extra: Mapping[str, nn.Module] | None = None,
    ahead: bool = False,
    image: nn.Module | None = None,
    beside: Mapping[str, nn.Module] | None = None,
    spelled: Mapping[str, tuple[int, ...]] | None = None,
) -> tuple[dict[str, nn.Module], LanguageModel]:
    """Encoders by group name, in the order in which they are read, and the language model that reads them.

    `extra` encoders are read after the prefix, each seeing everything before it and nothing that comes later;
    `outputs` says that hidden states of this first reading are used, `ahead` that the prefix ends with a group of that
    name, an estimate of states to come; `image` are eyes that exist already, `beside` further
    encoders of the prefix, before the sentence. `spelled` groups of given pieces, a
    silent one for every -1, close the prefix and are part of it.
    """
    width = config.model.width
    vocabulary = _vocabulary(config.text, width)
    encoders: dict[str, nn.Module] = {}
    if config.text.opens and vocabulary is not None:
        encoders["opening"] = SpelledTokens("opening", Shared(vocabulary), (config.text.start,))
    elif config.text.heading and vocabulary is not None:
        said = tokenizer(config.text).plain(config.text.heading)
        encoders["opening"] = SpelledTokens("opening", Shared(vocabulary), tuple(said))
    language = _language(config, vocabulary, width) if config.film else None
    image = image or sight(config, spec, None if language is None else _told(config, vocabulary, language, spelled))
    encoders["image"] = _marked(image, config.text, spec, vocabulary)
    if config.state == "token" and spec.state_dim:
        encoders["state"] = StateToken(spec.state_dim, width, deep=config.deep)
    encoders |= beside or {}
    if spec.language or "{state}" in config.text.template:
        encoders["language"] = _language(config, vocabulary, width) if language is None else language
    spelled = {**(spelled or {}), **({"closing": (config.text.closing,)} if config.text.closing >= 0 else {})}
    if spelled and vocabulary is not None:
        encoders |= {name: SpelledTokens(name, Shared(vocabulary), pieces) for name, pieces in spelled.items()}
    later = dict(extra or {})
    order = (*encoders, "ahead") if ahead else tuple(encoders)
    blocks = [(name,) for name in order] if config.causal else [order]
    table = block_table(*blocks, *((name,) for name in later))
    within: Literal["causal"] | None = "causal" if config.causal else None
    if isinstance(config.model, HubConfig) and config.model.weights and vocabulary is not None:
        layers: nn.Module = filled(config.model, vocabulary)
    else:
        layers = engine(config.model)
    model = LanguageModel(layers, table, vocabulary, within=within, outputs=outputs)
    return {**encoders, **later}, model


def sight(config: VlmConfig, spec: ObservationSpec, told: nn.Module | None = None) -> nn.Module:
    """The eyes of a configuration for all cameras of `spec`, as the group "image"; `told` modulates them."""
    width, projector = config.model.width, config.projector
    film = None if told is None else (told, width)
    return eyes(config.vision, spec, width, camera_embedding=config.camera_embedding, projector=projector, told=film)


def engine(config: ModelConfig) -> nn.Module:
    """The layers a configuration asks for; every engine can give hidden states behind its cache."""
    if isinstance(config, MambaConfig):
        return MambaEngine(config)
    if isinstance(config, BartConfig):
        return BartEngine(config)
    if isinstance(config, HubConfig):
        return HubTransformer(config)
    if isinstance(config, MixtureConfig):
        return MixtureTransformer(config)
    return Gpt(config) if isinstance(config, GptConfig) else Transformer(config)


def tokenizer(config: TextConfig) -> ByteTokenizer | FileTokenizer:
    """The tokenizer of prompts, and of whatever else the model reads and says."""
    start = None if config.start < 0 else config.start
    if config.file:
        return FileTokenizer(config.file, config.length, config.vocabulary, start=start, end=config.end)
    return ByteTokenizer(config.length, first=config.first, start=start, end=config.end)


def _vocabulary(config: TextConfig, width: int) -> Vocabulary | None:
    if not config.vocabulary:
        return None
    return Vocabulary(config.vocabulary, width, head=config.head, scale=config.scale)


def _told(
    config: VlmConfig,
    vocabulary: Vocabulary | None,
    language: nn.Module,
    spelled: Mapping[str, tuple[int, ...]] | None,
) -> SentenceMean:
    """What all that is said means on average: the opening piece, the prompt, and the pieces that are spelled."""
    pieces = [config.text.start] if config.text.opens else []
    pieces += [piece for group in (spelled or {}).values() for piece in group if piece >= 0]
    if vocabulary is None or not pieces:
        return SentenceMean(language)
    return SentenceMean(language, SpelledTokens("around", Shared(vocabulary), tuple(pieces)))


def _marked(eye: nn.Module, text: TextConfig, spec: ObservationSpec, vocabulary: Vocabulary | None) -> nn.Module:
    if vocabulary is None or not any(text.marks):
        return eye
    said = tokenizer(text).plain
    before, behind = text.marks
    numbers = range(1, len(spec.cameras) + 1)
    marks = [(said(before.replace("{number}", str(number))), said(behind)) for number in numbers]
    return MarkedPictures(eye, Shared(vocabulary), marks)


def _language(config: VlmConfig, vocabulary: Vocabulary | None, width: int) -> nn.Module:
    text = config.text
    if text.kind == "sentence" or vocabulary is None:
        return LanguageToken(width, deep=config.deep)
    heard = replace(text, start=-1) if text.opens else text
    words = Shared(vocabulary)
    return PromptTokens(tokenizer(heard), words, text.template, text.state_bins, fill=text.fill, openpi=text.openpi)
