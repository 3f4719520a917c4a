"""SpatialVLA: where things are in space is added to what they look like; a step of action is three cells of a grid.

Title: SpatialVLA: Exploring Spatial Representations for Visual-Language-Action Model
Year: 2025
Source: arXiv 2501.15830
Composition: vis.vit(siglip) + geo.ego3d -> bb.vlm(paligemma2) -> tok.grid(3 tokens a step, 8194 cells, chunk 4) ->
  head.ar [train: obj.ce]
Published: a model of about 4 B with its depth network; LIBERO 88 / 90 / 79 / 56 %
Ours: 64 % (57-70, n 200) on Desk, tiny: results/zoo/spatialvla.json; command: embodia bench zoo --policy spatialvla
Deviations: depth comes from the camera where the contract has it, not from an estimate, and without depth only pictures
  are read; one grid for one body; cells have a table of their own, not rows of the language model's; tiny and small see
  the state; tiny sees through keypoints that the sentence steers, without places, and estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from embodia.builders.families import paligemma2_3b
from embodia.builders.vlm import VlmConfig, small_vlm, vision_language
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.normalize import Mode, Normalizer
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.autoregressive import TokenConfig, TokenDecoder
from embodia.parts.encoders.camera import CameraTokens
from embodia.parts.encoders.depth import Ego3d
from embodia.parts.encoders.waypoints import END, waypoints_beside
from embodia.parts.tokenizers.grid import GridTokenizer, grid_groups


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's. `translation` cuts polar angle, azimuth and radius."""

    chunk: int = 4
    vlm: VlmConfig = field(default_factory=paligemma2_3b)
    translation: tuple[int, int, int] = (16, 32, 8)
    rotation: tuple[int, int, int] = (16, 16, 16)
    gripper: int = 2
    other: int = 16
    words: TokenConfig = field(default_factory=TokenConfig)
    ahead: tuple[int, ...] = ()
    ahead_weight: float = 0.5
    normalization: Mode = "mean_std"
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 3 M with steered keypoints and 512 cells; small 54 M with the published grid; paper as published."""
    if size == "tiny":
        cells = {"translation": (8, 16, 4), "rotation": (8, 8, 8), "other": 8}
        return Config(chunk=4, vlm=VlmConfig(), ahead=(12, 24, 48, END), **cells)  # type: ignore[arg-type]
    if size == "small":
        return Config(chunk=12, vlm=small_vlm())
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract; its grid comes from `Composition.fit`."""
    seen, actions, known = contract.observation, contract.action, statistics or {}
    width = config.vlm.model.width
    encoders, backbone = vision_language(config.vlm, seen, outputs=False, ahead=bool(config.ahead))
    estimate = waypoints_beside(encoders, width, seen.state_dim, config.ahead)
    eyes: nn.Module = encoders["image"]
    if isinstance(eyes, CameraTokens) and any(sense.name == "depth" and sense.field_deg for sense in seen.senses):
        encoders["image"] = Ego3d(eyes, seen, width, eyes.sizes[0])
    groups = grid_groups(actions, config.translation, config.rotation, config.gripper, config.other)
    parts = Parts(
        encoders=encoders,
        backbone=backbone,
        decoder=TokenDecoder(GridTokenizer(config.chunk, actions.dim, groups), width, config.words, chunk=config.chunk),
        foresight=estimate,
        state=Normalizer(seen.state_dim, config.normalization, known.get("state")),
        action=Normalizer(actions.dim, config.normalization, known.get(actions.statistics_key)),
        weights={"foresight": config.ahead_weight},
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)
