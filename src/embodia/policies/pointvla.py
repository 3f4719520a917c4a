"""PointVLA: points are injected into the action expert of a trained model, which itself stays as it was.

Title: PointVLA: Injecting the 3D World into Vision-Language-Action Models
Year: 2025
Source: arXiv 2503.07511
Composition: vis.vit + bb.vlm(qwen2-vl 2B) -> head.diffusion(bb.dit 1B, ScaleDP) with geo.pc_enc -> fuse.inject_zero
  into five later blocks [train: obj.eps; the trained model frozen, few demonstrations with points]
Published: no count of the injected parts
Ours: not yet measured; command: embodia bench zoo --policy pointvla
Deviations: the vision-language part is read as the mean of its tokens; tiny and small train everything together, since
  no trained model is at hand; no pretrained weights are shipped; `frozen` is the paper's way; tiny estimates states to
  come
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from embodia.builders.families import qwen2_vl
from embodia.builders.vlm import VlmConfig, small_vlm, vision_language
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.normalize import Mode, Normalizer
from embodia.nn.tool import cube
from embodia.nn.transformer import TransformerConfig
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.diffusion import ChunkDiffusion, DiffusionConfig
from embodia.parts.decoders.dit import AdaptiveDit, DitConfig
from embodia.parts.decoders.injected import InjectedDit
from embodia.parts.encoders.points import PointConfig, PointTokens
from embodia.parts.encoders.waypoints import END, waypoints


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's. `blocks` of the expert are told of the points.

    `ahead` are steps at which states to come are estimated."""

    chunk: int = 16
    model: VlmConfig = field(default_factory=qwen2_vl)
    points: PointConfig = field(default_factory=lambda: PointConfig(kind="pointnet", hidden=128))
    expert: DitConfig = field(default_factory=lambda: DitConfig(width=1280, depth=32, heads=16, pool="mean"))
    blocks: tuple[int, ...] = (11, 15, 19, 23, 27)
    frozen: bool = True
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    ahead: tuple[int, ...] = ()
    normalization: Mode = "min_max"
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 4 M with steered keypoints, everything trained; small 80 M; paper with a frozen base."""
    if size == "tiny":
        return Config(
            chunk=12,
            model=VlmConfig(
                model=TransformerConfig(width=160, depth=2, heads=4, kv_heads=4, head_dim=40, mlp_width=480)
            ),
            points=PointConfig(groups=32, depth=1),
            expert=DitConfig(width=128, depth=4, heads=4),
            blocks=(1, 2),
            frozen=False,
            diffusion=DiffusionConfig(draws=4),
            ahead=(12, 24, 48, END),
        )
    if size == "small":
        expert = DitConfig(width=384, depth=10, heads=6, pool="mean")
        return Config(model=small_vlm(), points=PointConfig(depth=2), expert=expert, blocks=(5, 7, 9), frozen=False)
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights. Raises `ConfigError` for a body without points."""
    seen, actions, known = contract.observation, contract.action, statistics or {}
    encoders, model = vision_language(config.model, seen, ahead=bool(config.ahead))
    foresight = waypoints(config.ahead, seen.state_dim, encoders, config.model.model.width, tuple(encoders))
    centre, half = cube(contract, known.get("state"))
    width, told = config.model.model.width, config.points.layers.width
    count = len(encoders) + bool(config.ahead)
    if config.expert.pool == "flatten":
        count = int(encoders["image"].tokens) + count - 1  # type: ignore[arg-type]
    expert = AdaptiveDit(config.expert, actions.dim, config.chunk, count * width)
    net = InjectedDit(expert, "points", told, config.blocks, frozen=config.frozen)
    if config.frozen:
        for part in (*encoders.values(), model, *([] if foresight is None else [foresight])):
            part.requires_grad_(False)
    points = PointTokens(config.points, seen, told, centre=centre, half=half)
    parts = Parts(
        encoders={**encoders, "points": points},
        backbone=model,
        foresight=foresight,
        weights={"foresight": 0.5},
        decoder=ChunkDiffusion(config.diffusion, net, actions.dim, config.chunk),
        state=Normalizer(seen.state_dim, config.normalization, known.get("state")),
        action=Normalizer(actions.dim, config.normalization, known.get(actions.statistics_key)),
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)
