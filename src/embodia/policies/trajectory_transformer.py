"""A trajectory as a sequence: return, state, action, return, state, action - and the next action is the next word.

Title: Decision Transformer: Reinforcement Learning via Sequence Modeling
Year: 2021
Source: arXiv 2106.01345; sizes as in the public code
Composition: prop.linear + fuse.concat(return, state, change) + vis.conv_stem -> bb.causal -> head.regress
  [train: obj.reg]
Published: 3 layers of width 128 on Gym tasks, context 20; no parameter count
Ours: 62 % (55-68, n 200) on Desk, tiny: results/zoo/trajectory_transformer.json; command: embodia bench zoo --policy
  trajectory_transformer
Deviations: pictures of the newest moment and a sentence are read too; the change of state stands for the past action,
  which observations do not carry; demonstrations have no rewards, so the wanted return is the constant 1 of success; a
  chunk is predicted from one readout; tiny has three moments and sees through keypoints that the sentence steers.
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
from embodia.parts.decoders.error import ErrorConfig
from embodia.parts.decoders.pooled import PooledConfig, PooledRegression
from embodia.parts.encoders.conv_stem import ConvStemConfig
from embodia.parts.encoders.eyes import EyesConfig, eyes
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig
from embodia.parts.encoders.language import LanguageToken
from embodia.parts.encoders.newest import Newest
from embodia.parts.encoders.queries import LearnedTokens
from embodia.parts.encoders.trajectory import TrajectoryTokens


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's. `history` moments are the context."""

    chunk: int = 1
    history: int = 20
    vision: EyesConfig = field(default_factory=ConvStemConfig)
    model: GptConfig = field(default_factory=lambda: GptConfig(width=128, depth=3, heads=1, hidden=512, dropout=0.1))
    head: PooledConfig = field(
        default_factory=lambda: PooledConfig(pool="mean", hidden=(), error=ErrorConfig(error="l2"))
    )
    normalization: Mode = "mean_std"
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 2 M with steered keypoints and three moments; small 11 M; paper as published, with a small eye."""
    if size == "tiny":
        model = GptConfig(width=192, depth=3, heads=6, hidden=576)
        head = PooledConfig(hidden=(512,))
        return Config(chunk=12, history=3, vision=KeypointStemConfig(), model=model, head=head)
    if size == "small":
        model, head = GptConfig(width=384, depth=6, heads=6, hidden=1536), PooledConfig(pool="mean", hidden=())
        return Config(chunk=12, history=8, model=model, head=head)
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    seen, actions, known = contract.observation, contract.action, statistics or {}
    width = config.model.width
    encoders: dict[str, nn.Module] = {
        "image": Newest(eyes(config.vision, seen, width)),
        "past": TrajectoryTokens(seen.state_dim, width, config.history),
    }
    if seen.language:
        encoders["language"] = LanguageToken(width, deep=True)
    table = block_table(tuple(encoders), ("readout",))
    encoders["readout"] = LearnedTokens("readout", 1, width)
    parts = Parts(
        encoders=encoders,
        backbone=LanguageModel(Gpt(config.model), table),
        decoder=PooledRegression(config.head, width, actions.dim, config.chunk, read=("readout",)),
        state=Normalizer(seen.state_dim, config.normalization, known.get("state")),
        action=Normalizer(actions.dim, config.normalization, known.get(actions.statistics_key)),
        history=config.history,
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)
