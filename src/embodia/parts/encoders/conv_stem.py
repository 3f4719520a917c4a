"""Shallow convolutional trunks for camera encoders (vis.conv_stem): the tiny and small sizes see through them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from embodia.nn.conv import ConvStem
from embodia.nn.image import Scaling


@dataclass(frozen=True, kw_only=True)
class ConvStemConfig:
    """Channels after each halving of the picture; one stem a camera unless `shared`; `out` mixes the last ones."""

    kind: Literal["conv_stem"] = "conv_stem"
    widths: tuple[int, ...] = (32, 64, 128, 192)
    first_kernel: int = 5
    group_width: int = 16
    shared: bool = False
    out: int = 0
    scaling: Scaling = "symmetric"


def conv_stem_trunks(config: ConvStemConfig, cameras: int) -> nn.ModuleList:
    """One stem, or one a camera."""
    count = 1 if config.shared else cameras
    return nn.ModuleList(
        ConvStem(config.widths, config.first_kernel, config.group_width, config.out) for _ in range(max(1, count))
    )
