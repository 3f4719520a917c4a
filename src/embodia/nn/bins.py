"""Numbers between -1 and 1 as one of equal bins, and back to the bin's centre."""

from __future__ import annotations

from torch import Tensor

BINS = 256
"""Bins of a state that is read as text: half a percent of a range each."""


def state_bins(values: Tensor, bins: int = BINS) -> Tensor:
    """Bin of every value, int64, 0 to `bins` - 1; values beyond -1 and 1 lie in the outermost ones."""
    return ((values.float() + 1) / 2 * bins).floor().clamp(0, bins - 1).long()


def bin_centres(indices: Tensor, bins: int = BINS) -> Tensor:
    """The value in the middle of every bin, float32."""
    return (indices.float() + 0.5) * (2 / bins) - 1
