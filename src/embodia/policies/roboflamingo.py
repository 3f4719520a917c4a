"""RoboFlamingo: an open Flamingo reads each moment, an LSTM remembers the moments and acts.

Title: Vision-Language Foundation Models as Effective Robot Imitators
Year: 2023
Source: arXiv 2311.01378
Composition: vis.vit(CLIP L/14) -> fuse.resampler(64) -> bb.vlm(OpenFlamingo 3B: fuse.gated_xattn in every layer) a
  moment -> bb.lstm(window 12) -> head.regress [train: obj.reg(L2) + obj.bce; pt.sft]
Published: 3 B parameters, rounded; CALVIN ABCD to D 4.09 tasks in a row
Ours: 41 % (34-48, n 200) on Desk, tiny: results/zoo/roboflamingo.json; command: embodia bench zoo --policy roboflamingo
Deviations: a Llama layer stands for MPT's, with as many weights; all cameras of a moment are resampled together; the
  state is read too; tiny and small read the sentence as MiniLM's vector; tiny sees two moments through keypoints, its
  gates begin ajar, and it estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from embodia.builders.two_systems import units
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.cross import CrossSizes
from embodia.nn.transformer import TransformerConfig
from embodia.parts.backbones.gated import GatedLanguageModel
from embodia.parts.backbones.per_step import PerStep
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.error import ErrorConfig, gripper_choices
from embodia.parts.decoders.pooled import PooledConfig, PooledRegression
from embodia.parts.encoders.eyes import EyesConfig, eyes
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig
from embodia.parts.encoders.language import LanguageToken
from embodia.parts.encoders.resampled import ResampledEyes, ResamplerConfig
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.parts.encoders.state import StateToken
from embodia.parts.encoders.text import TextTokens
from embodia.parts.encoders.towers import TowerConfig
from embodia.parts.encoders.waypoints import END, Waypoints
from embodia.parts.tokenizers.text import ByteTokenizer

CLIP_L = TowerConfig(family="clip", width=1024, depth=24, heads=16, hidden=4096, scaling="imagenet")
MPT_1B = TransformerConfig(width=2048, depth=24, heads=16, kv_heads=16, head_dim=128, mlp_width=5461)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's. `inside` is the width of picture tokens."""

    chunk: int = 1
    history: int = 12
    vision: EyesConfig = CLIP_L
    inside: int = 1024
    resampler: ResamplerConfig | None = field(default_factory=ResamplerConfig)
    model: TransformerConfig = MPT_1B
    crossed: CrossSizes = field(default_factory=CrossSizes)
    gate: float = 0.0
    frozen: bool = True
    words: int = 50434
    ahead: tuple[int, ...] = ()
    head: PooledConfig = field(
        default_factory=lambda: PooledConfig(
            pool="max", memory="lstm", carry=1024, carry_layers=4, error=ErrorConfig(error="l2")
        )
    )
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 4 M with steered keypoints; small 45 M; paper OpenFlamingo 3 B."""
    if size == "tiny":
        return Config(
            chunk=12,
            history=2,
            vision=KeypointStemConfig(),
            inside=128,
            resampler=None,
            model=TransformerConfig(width=128, depth=3, heads=4, kv_heads=4, head_dim=32, mlp_width=384),
            crossed=CrossSizes(heads=4, head_dim=32, expand=2),
            gate=0.5,
            frozen=False,
            words=0,
            ahead=(12, 24, 48, END),
            head=PooledConfig(memory="lstm", carry=256, hidden=(256,)),
        )
    if size == "small":
        model = TransformerConfig(width=512, depth=6, heads=8, kv_heads=8, head_dim=64, mlp_width=1365)
        head = PooledConfig(pool="max", memory="lstm", carry=512)
        vision, few = ResNetConfig(norm="group", width=32), ResamplerConfig(count=16, depth=2)
        return Config(
            chunk=8, history=4, vision=vision, inside=256, resampler=few, model=model, frozen=False, words=0, head=head
        )
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    seen, actions, width, steps = contract.observation, contract.action, config.model.width, config.history
    eye: nn.Module = eyes(config.vision, seen, config.inside)
    if config.resampler is not None:
        eye = ResampledEyes(eye, config.resampler, config.inside, config.inside, steps=steps)
    encoders = {"image": eye, "state": StateToken(seen.state_dim, width, steps, deep=not config.words)}
    if seen.language:
        bytewise = ByteTokenizer(48)
        encoders["language"] = (
            TextTokens(bytewise, config.words, width) if config.words else LanguageToken(width, deep=True)
        )
    still = ("language", "ahead") if config.ahead else ("language",)
    read = tuple(name for name in ("state", *still) if name in encoders or name == "ahead")
    model = GatedLanguageModel(
        config.model, config.inside, sizes=config.crossed, gate=config.gate, frozen=config.frozen
    )
    foresight = None
    if config.ahead:
        tokens = steps * (int(eye.tokens) + 1) + seen.language  # type: ignore[arg-type]
        foresight = Waypoints(width, seen.state_dim, config.ahead, tokens)
    state, action = units(contract, "mean_std", statistics)
    choices = gripper_choices(actions, action)
    head = PooledRegression(
        config.head, width, actions.dim, config.chunk, read=read, tokens=len(read), steps=steps, grippers=choices
    )
    parts = Parts(
        encoders=encoders,
        backbone=PerStep(model, steps, still),
        decoder=head,
        foresight=foresight,
        state=state,
        action=action,
        weights={"gripper": 0.1, "foresight": 0.5},
        history=steps,
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)
