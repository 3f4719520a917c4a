"""RT-1: the first transformer of robotics at scale; every number of the action is one of 256 classes.

Title: RT-1: Robotics Transformer for Real-World Control at Scale
Year: 2022
Source: arXiv 2212.06817
Composition: vis.effnet(B3) + fuse.film(sentence vector) -> fuse.token_learner(8) x 6 frames = 48 tokens ->
  bb.causal(8 layers) -> head.parallel over tok.uniform(256) [train: obj.ce]
Published: 35 M parameters (EfficientNet with FiLM 16 M, transformer 19 M), 3 Hz; 97 % on tasks it has seen
Ours: 26 % (21-33, n 200) on Desk, tiny: results/zoo/rt1.json; command: embodia bench zoo --policy rt1
Variants: RT-1-X is this design trained on Open X-Embodiment (arXiv 2310.08864)
Deviations: the sentence vector is MiniLM's, not the universal sentence encoder's; the body's state is read as a token
  more; no ImageNet weights; small and tiny predict a chunk, one readout a step, from one frame; tiny sees through
  keypoints that the sentence steers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.gpt import Gpt, GptConfig
from embodia.nn.normalize import Mode, Normalizer
from embodia.parts.backbones.language_model import LanguageModel, block_table
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.parallel import ParallelConfig, ParallelDecoder
from embodia.parts.encoders.film_efficientnet import FilmEfficientNet, FilmEfficientNetConfig
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig, SteeredKeypoints
from embodia.parts.encoders.language import LanguageToken
from embodia.parts.encoders.queries import LearnedTokens
from embodia.parts.encoders.state import StateToken
from embodia.parts.tokenizers.uniform import UniformTokenizer

RT1_GPT = GptConfig(width=512, depth=8, heads=8, head_dim=128, hidden=0, places=128, dropout=0.1)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's. `word` adds the sentence as a token of its own.

    `readouts` a step of the chunk: 0 is one for every action dimension, as published.
    """

    chunk: int = 1
    history: int = 6
    vision: FilmEfficientNetConfig | KeypointStemConfig = field(default_factory=FilmEfficientNetConfig)
    model: GptConfig = RT1_GPT
    word: bool = False
    readouts: int = 0
    bins: int = 256
    head: ParallelConfig = field(default_factory=ParallelConfig)
    normalization: Mode = "quantile"
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 2 M with steered keypoints; small 14 M with an EfficientNet-B0; paper as published."""
    if size == "tiny":
        model = GptConfig(width=192, depth=3, heads=6, hidden=576)
        return Config(chunk=12, history=1, vision=KeypointStemConfig(), model=model, word=True, readouts=1, bins=64)
    if size == "small":
        vision = FilmEfficientNetConfig(broad=1.0, deep=1.0, pixels=224)
        return Config(chunk=8, history=1, vision=vision, model=GptConfig(width=384, depth=6, heads=6, hidden=1152))
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    seen, actions, known = contract.observation, contract.action, statistics or {}
    width, readouts = config.model.width, config.chunk * (config.readouts or actions.dim)
    eyes = SteeredKeypoints if isinstance(config.vision, KeypointStemConfig) else FilmEfficientNet
    encoders: dict[str, nn.Module] = {
        "image": eyes(config.vision, seen, width),  # type: ignore[arg-type]
        "state": StateToken(seen.state_dim, width, config.history, deep=config.word),
    }
    if seen.language and config.word:
        encoders["language"] = LanguageToken(width, deep=True)
    sensed = tuple(encoders)
    encoders["readout"] = LearnedTokens("readout", readouts, width)
    tokenizer = UniformTokenizer(config.chunk, actions.dim, config.bins, -1.2, 1.2)
    parts = Parts(
        encoders=encoders,
        backbone=LanguageModel(Gpt(config.model), block_table(sensed, ("readout",))),
        decoder=ParallelDecoder(tokenizer, width, read="readout", readouts=readouts, config=config.head),
        state=Normalizer(seen.state_dim, "mean_std", known.get("state")),
        action=Normalizer(actions.dim, config.normalization, known.get(actions.statistics_key)),
        history=config.history,
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)
