"""BeT: actions as clusters with an offset, so that several ways of doing a task stay several.

Title: Behavior Transformers: Cloning k modes with one stone
Year: 2022
Source: arXiv 2206.11251
Composition: vis.resnet + prop.linear -> bb.causal -> tok.kmeans -> head.offset [train: obj.ce(focal) + obj.reg]
Published: no parameter count; 6 layers, 6 heads and width 120 on the kitchen, 64 clusters
Ours: 63 % (56-69, n 200) on Desk, tiny: results/zoo/bet.json; command: embodia bench zoo --policy bet
Deviations: one readout token for each step of a chunk where the original predicts one action from each of the last ten
  observations; pictures and a sentence are read, the original reads states; offsets by absolute error; no pretrained
  ResNet; tiny sees through keypoints that the sentence steers and estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from embodia.builders.vlm import VlmConfig, resnet_gpt, vision_language
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.gpt import GptConfig
from embodia.nn.normalize import Mode, Normalizer
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.offset import OffsetConfig, OffsetDecoder
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig
from embodia.parts.encoders.queries import LearnedTokens
from embodia.parts.encoders.waypoints import END, waypoints_beside
from embodia.parts.tokenizers.kmeans import KMeansTokenizer


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's. `clusters` is what the design is most sensitive to."""

    chunk: int = 10
    trunk: VlmConfig = field(default_factory=lambda: resnet_gpt(120, 6, 6))
    clusters: int = 64
    head: OffsetConfig = field(default_factory=OffsetConfig)
    offset_weight: float = 10.0
    ahead: tuple[int, ...] = ()
    ahead_weight: float = 0.5
    normalization: Mode = "mean_std"
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 2 M with steered keypoints and 16 clusters; small 23 M; paper as published, on a ResNet-18."""
    if size == "tiny":
        model = GptConfig(width=192, depth=3, heads=6, hidden=576)
        return Config(
            chunk=12, ahead=(12, 24, 48, END), trunk=VlmConfig(vision=KeypointStemConfig(), model=model), clusters=16
        )
    if size == "small":
        return Config(chunk=16, trunk=resnet_gpt(384, 6, 6))
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract; its clusters come from `Composition.fit`."""
    seen, actions, known = contract.observation, contract.action, statistics or {}
    width = config.trunk.model.width
    readout = {"readout": LearnedTokens("readout", config.chunk, width)}
    encoders, backbone = vision_language(config.trunk, seen, extra=readout, ahead=bool(config.ahead))
    tokenizer = KMeansTokenizer(config.chunk, actions.dim, config.clusters)
    parts = Parts(
        encoders=encoders,
        backbone=backbone,
        decoder=OffsetDecoder(
            tokenizer, width, read="readout", chunk=config.chunk, dim=actions.dim, config=config.head
        ),
        state=Normalizer(seen.state_dim, config.normalization, known.get("state")),
        action=Normalizer(actions.dim, config.normalization, known.get(actions.statistics_key)),
        weights={"offset": config.offset_weight, "foresight": config.ahead_weight},
        foresight=waypoints_beside(encoders, width, seen.state_dim, config.ahead),
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)
