"""Normalisation as one pair: `do` into the network's units, `undo` back into the body's.

Every mode is an offset and a scale a dimension, kept as buffers, so that a checkpoint carries them. A dimension that
never moves in the data (a gripper that stays open) gets scale 1: it maps to zero and must not blow noise up.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from embodia.core.errors import ShapeError
from embodia.core.statistics import FeatureStatistics

Mode = Literal["mean_std", "min_max", "quantile", "identity"]

_STILL = 1e-6
"""Spread, relative to the size of the numbers, below which a dimension counts as constant."""


class Normalizer(nn.Module):
    """`(x - offset) / scale` and back. Raises `ShapeError` when the statistics have another dimension.

    mean_std zero mean and unit deviation; min_max and quantile map the extremes or the 1st and 99th percentile to -1
    and 1 (values outside are not clipped); identity, or absent statistics, leave values as they are.
    """

    offset: Tensor
    scale: Tensor

    def __init__(self, dim: int, mode: Mode, statistics: FeatureStatistics | None) -> None:
        super().__init__()
        if statistics is not None and statistics.dim != dim:
            raise ShapeError(f"statistics have {statistics.dim} dimensions, the feature has {dim}")
        offset, scale = _affine(dim, mode, statistics)
        self.register_buffer("offset", offset)
        self.register_buffer("scale", scale)

    def do(self, value: Tensor) -> Tensor:
        """Physical (... D) to normalised (... D)."""
        return (value - self.offset) / self.scale

    def undo(self, value: Tensor) -> Tensor:
        """Normalised (... D) to physical (... D)."""
        return value * self.scale + self.offset

    def log_volume(self) -> Tensor:
        """Log of the physical volume of a normalised unit cube: what a density changes by between the two units."""
        return self.scale.log().sum()


def _affine(dim: int, mode: Mode, statistics: FeatureStatistics | None) -> tuple[Tensor, Tensor]:
    if statistics is None or mode == "identity":
        return torch.zeros(dim), torch.ones(dim)
    if mode == "mean_std":
        offset, scale = _column(statistics.mean), _column(statistics.std)
    else:
        minimum, maximum = statistics.minimum, statistics.maximum
        low, high = (minimum, maximum) if mode == "min_max" else (statistics.q01, statistics.q99)
        offset = (_column(high) + _column(low)) / 2
        scale = (_column(high) - _column(low)) / 2
    still = scale <= _STILL * offset.abs().clamp_min(1.0)
    return offset.float(), torch.where(still, torch.ones_like(scale), scale).float()


def _column(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
