"""VQ-BeT: whole chunks as a coarse and a fine code, with an offset.

Title: Behavior Generation with Latent Actions
Year: 2024
Source: arXiv 2403.03181
Composition: vis.resnet(spatial softmax) + prop.linear (observe 5, a query each) -> bb.causal -> tok.rvq(2)
  -> head.offset [train: obj.vq first, then obj.ce(focal) + obj.reg]
Published: no parameter count; LeRobot's default for PushT has 37,515,530
Ours: 52 % (45-59, n 200) on Desk, tiny: results/zoo/vq_bet.json; command: embodia bench zoo --policy vq_bet; quantiser
  and head equal LeRobot's: results/parity_vqbet.json; whole checkpoints: results/parity_lerobot_weights.json
Deviations: a chunk is learned from the newest of the five moments only, the original learns one from each, and some
  ahead; the quantiser learns in `Composition.fit` before training, not in its first steps; offsets are trained at the
  true codes; in use the likeliest codes are taken, not drawn; tiny and small read one observation, tiny through steered
  keypoints, and tiny estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from embodia.builders.vlm import VlmConfig, resnet_gpt, vision_language
from embodia.core.errors import ConfigError
from embodia.core.specs import Contract, ObservationSpec
from embodia.core.statistics import FeatureStatistics
from embodia.nn.gpt import Gpt, GptConfig
from embodia.nn.normalize import Mode, Normalizer
from embodia.parts.backbones.language_model import LanguageModel, block_table
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.offset import OffsetConfig, OffsetDecoder
from embodia.parts.encoders.florence import FlorenceConfig
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig
from embodia.parts.encoders.language import LanguageToken
from embodia.parts.encoders.queries import LearnedTokens
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.parts.encoders.waypoints import END, waypoints_beside
from embodia.parts.encoders.window import WindowConfig, WindowTokens
from embodia.parts.tokenizers.rvq import ResidualConfig, ResidualTokenizer


def _paper() -> VlmConfig:
    model = GptConfig(width=512, depth=8, heads=8, hidden=2048, places=500, inputs=512, outputs=512, dropout=0.1)
    return VlmConfig(vision=ResNetConfig(norm="group"), model=model)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's, as LeRobot has them.

    `window` reads the last moments as one sequence; None reads the newest alone, its picture in cells.
    """

    chunk: int = 5
    trunk: VlmConfig = field(default_factory=_paper)
    window: WindowConfig | None = field(default_factory=WindowConfig)
    codes: ResidualConfig = field(default_factory=ResidualConfig)
    head: OffsetConfig = field(default_factory=lambda: OffsetConfig(levels=(5.0, 0.5), temperature=0.1))
    offset_weight: float = 20.0
    ahead: tuple[int, ...] = ()
    ahead_weight: float = 0.5
    normalization: Mode = "min_max"
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 2 M with steered keypoints; small 25 M; paper as published, on a ResNet-18."""
    if size == "tiny":
        model = GptConfig(width=192, depth=3, heads=6, hidden=576)
        return Config(
            chunk=12,
            trunk=VlmConfig(vision=KeypointStemConfig(), model=model),
            window=None,
            codes=ResidualConfig(codes=8, width=64),
            ahead=(12, 24, 48, END),
        )
    if size == "small":
        return Config(chunk=16, trunk=resnet_gpt(384, 6, 6), window=None)
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract; its codes come from `Composition.fit`."""
    seen, actions, known = contract.observation, contract.action, statistics or {}
    width = config.trunk.model.width
    if config.window is None:
        read, readout = "readout", {"readout": LearnedTokens("readout", 1, width)}
        encoders, backbone = vision_language(config.trunk, seen, extra=readout, ahead=bool(config.ahead))
    else:
        read, (encoders, backbone, width) = "window", _window(config, config.window, seen)
    tokenizer = ResidualTokenizer(config.chunk, actions.dim, config.codes)
    parts = Parts(
        encoders=encoders,
        backbone=backbone,
        decoder=OffsetDecoder(tokenizer, width, read=read, chunk=config.chunk, dim=actions.dim, config=config.head),
        state=Normalizer(seen.state_dim, config.normalization, known.get("state")),
        action=Normalizer(actions.dim, config.normalization, known.get(actions.statistics_key)),
        weights={"offset": config.offset_weight, "foresight": config.ahead_weight},
        foresight=waypoints_beside(encoders, width, seen.state_dim, config.ahead),
        history=1 if config.window is None else config.window.history,
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)


def _window(
    config: Config, window: WindowConfig, seen: ObservationSpec
) -> tuple[dict[str, nn.Module], LanguageModel, int]:
    """Encoders, backbone and the width of what it says."""
    model, vision = config.trunk.model, config.trunk.vision
    if not isinstance(model, GptConfig) or isinstance(vision, KeypointStemConfig | FlorenceConfig) or config.ahead:
        raise ConfigError("a window is read by a GPT, through a trunk, without states to come", leaf="window")
    encoders: dict[str, nn.Module] = {"window": WindowTokens(vision, seen, window)}
    if seen.language:
        encoders = {"language": LanguageToken(window.width, deep=config.trunk.deep), **encoders}
    backbone = LanguageModel(Gpt(model), block_table(*((name,) for name in encoders)))
    return encoders, backbone, model.outputs or model.width
