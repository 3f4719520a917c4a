"""ARM4R: a GPT that first follows points through space and time in human video, then follows the robot's own.

Title: Pre-training Auto-regressive Robotic Models with 4D Representations
Year: 2025
Source: arXiv 2502.13142; sizes as in the public code
Composition: vis.vit(MAE base) + txt.clip + prop.linear + vis.trace(3-D points) -> bb.causal -> head.track, then
  head.regress [train: obj.track on video, then obj.track + obj.reg]
Published: no parameter count
Ours: 60 % (54-67, n 200) on Desk, tiny: results/zoo/arm4r.json; command: embodia bench zoo --policy arm4r
Deviations: both stages may also run at once; where a body has no tracked points the hand's own state is what is
  followed; tiny sees through keypoints and estimates states to come.
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
from embodia.parts.decoders.error import gripper_choices
from embodia.parts.decoders.pooled import PooledConfig, PooledRegression
from embodia.parts.encoders.resampled import ResamplerConfig
from embodia.parts.heads.tracks import Source, Tracks


def _published() -> GptConfig:
    model = TransformerConfig(width=768, depth=12, heads=12, kv_heads=12, head_dim=64, mlp_width=2048)
    pressed = ResamplerConfig(count=4, depth=1, sizes=CrossSizes(heads=12, head_dim=64))
    return video_gpt(model, pressed, history=16)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's as far as it states them.

    later   steps ahead at which positions are followed
    points  how many points are followed where a body has tracked ones; 0 follows the state
    """

    chunk: int = 16
    gpt: GptConfig = field(default_factory=_published)
    later: tuple[int, ...] = (4, 8, 12, 16)
    points: int = 0
    track: int = 4
    head: PooledConfig = field(default_factory=lambda: PooledConfig(hidden=(768, 384)))
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 3 M with steered keypoints; small 45 M; paper 0.24 B."""
    if size == "tiny":
        return Config(chunk=12, gpt=GptConfig(), later=(6, 12, 24), head=PooledConfig(hidden=(256,)))
    if size == "small":
        return Config(gpt=small_gpt())
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    seen, actions, width = contract.observation, contract.action, config.gpt.model.width
    queries = {"track": Query(count=config.track), "act": Query(sees=("track",))}
    encoders, model, foresight = gpt_model(config.gpt, seen, queries)
    count = config.points or seen.state_dim
    source: Source = "points" if config.points else "state"
    tracks = Tracks(width, read="track", steps=len(config.later), count=count, source=source)
    state, action = units(contract, "mean_std", statistics)
    choices = gripper_choices(actions, action)
    parts = Parts(
        encoders=encoders,
        backbone=model,
        decoder=PooledRegression(config.head, width, actions.dim, config.chunk, read=("act",), grippers=choices),
        foresight=foresight,
        heads={"track": tracks},
        later=config.later,
        state=state,
        action=action,
        weights={"track": 0.5, "gripper": 0.1, "foresight": 0.5},
        history=config.gpt.history,
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)
