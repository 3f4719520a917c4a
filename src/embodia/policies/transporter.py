"""Transporter: what is picked is cut out of the view from above and laid over it; where it fits it is placed.

Title: Transporter Networks: Rearranging the Visual World for Robotic Manipulation
Year: 2020
Source: arXiv 2010.14406
Composition: bb.fcn(RGB-D from above) -> crop-correlation over rotations -> tok.pixel -> act.space(key-frame)
  [train: obj.ce]
Published: no parameter count
Ours: 11 % (7-16, n 200) on Desk, tiny: results/zoo/transporter.json; command: embodia bench zoo --policy transporter
Deviations: it acts in closed loop, towards the next key frame in small steps: the pick map while the gripper is open,
  the place map while it holds something; heights are read off the map's features; a sentence and where the tool is
  multiply the maps, ask their cells and say the height, which it did not yet when our number was measured
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from embodia.core.moments import AFTER_KEY, NEXT_KEY
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.normalize import Normalizer
from embodia.nn.tool import tool_of, workspace
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.keyframe import KeyFrameLoss
from embodia.parts.decoders.pixelmap import PixelMapConfig, PixelMaps
from embodia.parts.encoders.cloud import Cloud, ToolNow
from embodia.parts.encoders.language import LanguageToken


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's sizes, on a square view. `told` is how wide what is told is."""

    chunk: int = 24
    maps: PixelMapConfig = field(
        default_factory=lambda: PixelMapConfig(size=160, crop=64, turns=36, key=3, width=64, depth=3, blocks=2)
    )
    told: int = 128
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 1.2 M on 32 pixels; small 10 M on 96; paper 160 pixels and 36 turns."""
    if size == "tiny":
        return Config(chunk=12, maps=PixelMapConfig(width=16, depth=3))
    if size == "small":
        return Config(maps=PixelMapConfig(size=96, crop=36, turns=24, width=48, depth=3))
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights. Raises `ConfigError` for a body without points, or whose tool has no place."""
    seen, known, tool = contract.observation, statistics or {}, tool_of(contract)
    state = Normalizer(seen.state_dim, "mean_std", known.get("state"))
    action = Normalizer(contract.action.dim, "mean_std", known.get(contract.action.statistics_key))
    centre, half = workspace(tool, known.get("state"))
    encoders: dict[str, nn.Module] = {"cloud": Cloud(seen), "tool": ToolNow(tool, state)}
    if seen.language:
        encoders["language"] = LanguageToken(config.told, position=False, deep=True)
    decoder = PixelMaps(config.maps, tool, action, config.chunk, centre=centre, half=half, told=config.told)
    parts = Parts(
        encoders=encoders,
        decoder=decoder,
        heads={"key": KeyFrameLoss(decoder, tool)},
        ahead=(NEXT_KEY, AFTER_KEY),
        state=state,
        action=action,
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)
