"""Statistics of a feature kept while writing: mergeable, so nothing is ever read twice.

Mean and spread merge exactly (Chan, Golub, LeVeque 1979); quantiles come from a digest of weighted points that is exact
up to `_EXACT` frames and afterwards finest at the tails (Dunning and Ertl 2019, arXiv:1902.04023, scale k1).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodia.core.errors import ShapeError
from embodia.core.statistics import FeatureStatistics

_EXACT = 4096
_CELLS = 1024

Array = NDArray[np.float64]


class Digest:
    """The distribution of one number: sorted points with weights."""

    def __init__(self) -> None:
        self._points: Array = np.empty(0)
        self._weights: Array = np.empty(0)

    def add(self, values: Array, weights: Array | None = None) -> None:
        """Take in values (N,), each counting `weights` times."""
        points = np.concatenate([self._points, values])
        added = np.ones(len(values)) if weights is None else weights
        order = np.argsort(points, kind="stable")
        self._points, self._weights = points[order], np.concatenate([self._weights, added])[order]
        if len(points) > _EXACT:
            self._compress()

    def merge(self, other: Digest) -> None:
        """Take in all that another digest has seen."""
        self.add(other._points, other._weights)

    def quantiles(self, fractions: tuple[float, ...]) -> Array:
        """Linear interpolation between points, as numpy's default does for plain values."""
        total = self._weights.sum()
        first = np.cumsum(self._weights) - self._weights
        middle = first + (self._weights - 1) / 2
        return np.interp(np.asarray(fractions) * (total - 1), middle, self._points)

    def _compress(self) -> None:
        middle = (np.cumsum(self._weights) - self._weights / 2) / self._weights.sum()
        cell = np.floor(_CELLS * (np.arcsin(2 * middle - 1) / np.pi + 0.5)).astype(np.int64)
        starts = np.flatnonzero(np.diff(cell, prepend=-1))
        weights = np.add.reduceat(self._weights, starts)
        self._points = np.add.reduceat(self._points * self._weights, starts) / weights
        self._weights = weights


@dataclass
class RunningStatistics:
    """Count, mean, spread, extremes and quantiles of a vector feature of `dim` dimensions."""

    dim: int
    count: int = 0
    _mean: Array = field(init=False)
    _square: Array = field(init=False)
    _minimum: Array = field(init=False)
    _maximum: Array = field(init=False)
    _digests: tuple[Digest, ...] = field(init=False)

    def __post_init__(self) -> None:
        self._mean, self._square = np.zeros(self.dim), np.zeros(self.dim)
        self._minimum, self._maximum = np.full(self.dim, np.inf), np.full(self.dim, -np.inf)
        self._digests = tuple(Digest() for _ in range(self.dim))

    def add(self, values: NDArray[np.floating[Any]]) -> None:
        """Take in frames (N, dim). Raises `ShapeError`."""
        if values.ndim != 2 or values.shape[1] != self.dim:
            raise ShapeError(f"expected (N, {self.dim}), got {values.shape}")
        if not len(values):
            return
        wide = values.astype(np.float64)
        mean = wide.mean(0)
        self._take(len(wide), mean, ((wide - mean) ** 2).sum(0), wide.min(0), wide.max(0))
        for digest, column in zip(self._digests, wide.T, strict=True):
            digest.add(column)

    def merge(self, other: RunningStatistics) -> None:
        """Take in all that another has seen."""
        if other.count:
            self._take(other.count, other._mean, other._square, other._minimum, other._maximum)
            for mine, theirs in zip(self._digests, other._digests, strict=True):
                mine.merge(theirs)

    def quantiles(self, *fractions: float) -> Array:
        """(len(fractions), dim)."""
        return np.stack([digest.quantiles(fractions) for digest in self._digests], axis=1)

    def result(self) -> FeatureStatistics:
        """The figures so far; raises `ShapeError` before the first frame."""
        q01, q99 = self.quantiles(0.01, 0.99) if self.count else (np.zeros(self.dim),) * 2
        return FeatureStatistics(
            count=self.count,
            mean=tuple(self._mean.tolist()),
            std=tuple(np.sqrt(self._square / max(1, self.count)).tolist()),
            minimum=tuple(self._minimum.tolist()),
            maximum=tuple(self._maximum.tolist()),
            q01=tuple(q01.tolist()),
            q99=tuple(q99.tolist()),
        )

    def _take(self, count: int, mean: Array, square: Array, minimum: Array, maximum: Array) -> None:
        total = self.count + count
        delta = mean - self._mean
        self._mean = self._mean + delta * (count / total)
        self._square = self._square + square + delta**2 * (self.count * count / total)
        self._minimum = np.minimum(self._minimum, minimum)
        self._maximum = np.maximum(self._maximum, maximum)
        self.count = total
