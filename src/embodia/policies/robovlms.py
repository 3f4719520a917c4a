"""RoboVLMs: any vision-language model and a policy head over its history; what the choice of either is worth.

Title: Towards Generalist Robot Policies: What Matters in Building Vision-Language-Action Models
Year: 2024
Source: arXiv 2412.14058
Composition: any bb.vlm a moment -> learned readout -> {bb.lstm policy head, one moment, moments in one sequence} ->
  head.regress [train: obj.reg + obj.bce; ev.suite]
Published: best of eight models in four forms: KosMos with a policy head, CALVIN ABCD to D 4.49 tasks in a row
Ours: 44 % (38-51, n 200) on Desk, tiny: results/zoo/robovlms.json; command: embodia bench zoo --policy robovlms
Deviations: PaliGemma 3B, also among the eight, stands for KosMos; discrete actions are in the files of RT-2's kin; tiny
  sees two moments through keypoints and estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from torch import nn

from embodia.builders.families import paligemma_3b
from embodia.builders.two_systems import units
from embodia.builders.vlm import VlmConfig, small_vlm, vision_language
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.transformer import TransformerConfig
from embodia.parts.backbones.per_step import PerStep
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.error import ErrorConfig, gripper_choices
from embodia.parts.decoders.pooled import PooledConfig, PooledRegression
from embodia.parts.encoders.queries import LearnedTokens
from embodia.parts.encoders.waypoints import END, Waypoints


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's best.

    form  "head": the model reads each moment, the head remembers; "sequence": the model reads all moments at once
    """

    chunk: int = 10
    history: int = 16
    form: Literal["head", "sequence"] = "head"
    vlm: VlmConfig = field(default_factory=lambda: replace(paligemma_3b(), state="token"))
    ahead: tuple[int, ...] = ()
    head: PooledConfig = field(
        default_factory=lambda: PooledConfig(
            memory="lstm", carry=1024, carry_layers=4, error=ErrorConfig(error="huber", knee=1.0)
        )
    )
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 4 M with steered keypoints; small 55 M; paper PaliGemma 3 B with an LSTM."""
    if size == "tiny":
        model = TransformerConfig(width=160, depth=4, heads=4, kv_heads=4, head_dim=40, mlp_width=416)
        head = PooledConfig(memory="lstm", carry=256, hidden=(256,))
        return Config(chunk=12, history=2, vlm=VlmConfig(model=model), ahead=(12, 24, 48, END), head=head)
    if size == "small":
        return Config(chunk=8, history=4, vlm=small_vlm(), head=PooledConfig(memory="lstm", carry=512))
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    seen, actions, width = contract.observation, contract.action, config.vlm.model.width
    encoders, model = vision_language(config.vlm, seen, extra={"act": LearnedTokens("act", 1, width)})
    apart = config.form == "head"
    read = ("act", "ahead") if config.ahead else ("act",)
    foresight = None
    if config.ahead:
        tokens = config.history * (int(encoders["image"].tokens) + 1) + seen.language  # type: ignore[arg-type]
        foresight = Waypoints(width, seen.state_dim, config.ahead, tokens)
    backbone: nn.Module = PerStep(model, config.history, ("language", *read)) if apart else model
    state, action = units(contract, "mean_std", statistics)
    head = PooledRegression(
        config.head,
        width,
        actions.dim,
        config.chunk,
        read=read,
        tokens=len(read),
        steps=config.history if apart else 1,
        grippers=gripper_choices(actions, action),
    )
    parts = Parts(
        encoders=encoders,
        backbone=backbone,
        decoder=head,
        foresight=foresight,
        state=state,
        action=action,
        weights={"gripper": 0.1, "foresight": 0.5},
        history=config.history,
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)
