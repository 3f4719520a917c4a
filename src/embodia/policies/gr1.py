"""GR-1: one GPT foresees the picture and acts; video without actions teaches the first half.

Title: Unleashing Large-Scale Video Generative Pre-training for Visual Robot Manipulation
Year: 2023
Source: arXiv 2312.13139; sizes as in the public code's configuration
Composition: vis.vit(MAE, frozen) + fuse.resampler + txt.clip(frozen) + prop.linear -> bb.causal(12 layers) ->
  head.image + head.regress from query tokens [train: obj.frame on video, then obj.frame + obj.reg(smooth L1) +
  obj.bce]
Published: 195 M parameters, 46 M trained; CALVIN ABCD to D 94.9 %, 4.21 tasks in a row
Ours: 50 % (44-57, n 200) on Desk, tiny: results/zoo/gr1.json; command: embodia bench zoo --policy gr1
Deviations: queries stand at the newest moment alone; a Llama layer stands for GPT-2's; tiny looks at one moment through
  keypoints that the sentence steers and estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from embodia.builders.gpt import GptConfig, Query, gpt_model, small_gpt, video_gpt
from embodia.builders.two_systems import units
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.cross import CrossSizes
from embodia.nn.transformer import TransformerConfig
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.error import ErrorConfig, gripper_choices
from embodia.parts.decoders.pooled import PooledConfig, PooledRegression
from embodia.parts.encoders.resampled import ResamplerConfig
from embodia.parts.heads.forecast import Forecast, ForecastConfig


def _published() -> GptConfig:
    model = TransformerConfig(width=384, depth=12, heads=12, kv_heads=12, head_dim=32, mlp_width=1024)
    pressed = ResamplerConfig(count=18, depth=3, sizes=CrossSizes(heads=4, head_dim=128))
    return video_gpt(model, pressed, history=10, frozen=True)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's. `later` are the steps ahead whose pictures are foreseen."""

    chunk: int = 1
    gpt: GptConfig = field(default_factory=_published)
    later: tuple[int, ...] = (3,)
    foresee: ForecastConfig = field(
        default_factory=lambda: ForecastConfig(pixels=224, width=384, heads=12, hidden=1536, layers=2)
    )
    queries: int = 9
    head: PooledConfig = field(default_factory=lambda: PooledConfig(hidden=(384, 192), error=_error()))
    picture_weight: float = 0.1
    inference: Inference = field(default_factory=Inference)


def _error() -> ErrorConfig:
    return ErrorConfig(error="huber", knee=1.0)


def preset(size: str) -> Config:
    """tiny 3 M with steered keypoints; small 50 M; paper as published."""
    if size == "tiny":
        head = PooledConfig(hidden=(256,))
        return Config(chunk=12, gpt=GptConfig(), later=(12,), foresee=ForecastConfig(), queries=4, head=head)
    if size == "small":
        return Config(chunk=10, gpt=small_gpt(), later=(10,), foresee=ForecastConfig(pixels=128, layers=2))
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    seen, actions, width = contract.observation, contract.action, config.gpt.model.width
    queries = {"picture": Query(count=config.queries), "act": Query(sees=("picture",))}
    encoders, model, foresight = gpt_model(config.gpt, seen, queries)
    foreseen = Forecast(config.foresee, seen, width, name="picture", read="picture", steps=len(config.later))
    state, action = units(contract, "mean_std", statistics)
    choices = gripper_choices(actions, action)
    parts = Parts(
        encoders=encoders,
        backbone=model,
        decoder=PooledRegression(config.head, width, actions.dim, config.chunk, read=("act",), grippers=choices),
        foresight=foresight,
        heads={"picture": foreseen},
        later=config.later,
        state=state,
        action=action,
        weights={"picture": config.picture_weight, "gripper": 0.1, "foresight": 0.5},
        history=config.gpt.history,
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)
