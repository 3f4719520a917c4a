"""ResNet trunks for camera encoders (vis.resnet): which depth and norm, and whether cameras share one.

Weights start random: no pretrained ones are shipped, and a frozen batch norm then is the identity, so from-scratch
training wants group norm; the paper sizes keep frozen batch norm for checkpoints that bring their statistics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from embodia.core.errors import ConfigError
from embodia.nn.image import Scaling
from embodia.nn.resnet import DEPTHS, Norm, ResNet


@dataclass(frozen=True, kw_only=True)
class ResNetConfig:
    """`width` channels in the first stage (64 published); one trunk for all cameras unless `shared` is False."""

    kind: Literal["resnet"] = "resnet"
    depth: int = 18
    norm: Norm = "frozen_batch"
    width: int = 64
    group_width: int = 16
    shared: bool = True
    scaling: Scaling = "imagenet"

    def __post_init__(self) -> None:
        if self.depth not in DEPTHS:
            raise ConfigError(f"no ResNet of depth {self.depth}", leaf="depth", cure=f"Known: {sorted(DEPTHS)}")


def resnet_trunks(config: ResNetConfig, cameras: int) -> nn.ModuleList:
    """One trunk, or one a camera."""
    count = 1 if config.shared else cameras
    return nn.ModuleList(
        ResNet(config.depth, config.norm, config.width, config.group_width) for _ in range(max(1, count))
    )
