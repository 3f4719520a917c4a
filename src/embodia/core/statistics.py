"""Statistics of one feature (state, action): what normalisation needs, carried from data set to checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from embodia.core.errors import ShapeError


@dataclass(frozen=True, kw_only=True)
class FeatureStatistics:
    """Per-dimension figures over `count` frames; each tuple has one number a dimension, in the feature's units."""

    count: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    minimum: tuple[float, ...]
    maximum: tuple[float, ...]
    q01: tuple[float, ...]
    q99: tuple[float, ...]

    def __post_init__(self) -> None:
        sizes = {len(item) for item in (self.mean, self.std, self.minimum, self.maximum, self.q01, self.q99)}
        if len(sizes) != 1 or self.count < 1:
            raise ShapeError(f"statistics need count >= 1 and equal lengths, got {sizes} over {self.count} frames")

    @property
    def dim(self) -> int:
        """Number of dimensions."""
        return len(self.mean)
