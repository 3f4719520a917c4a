"""Small fully connected maps."""

from __future__ import annotations

from torch import nn


def projection(inputs: int, outputs: int, deep: bool = False, *, tanh: bool = False) -> nn.Module:
    """A linear map, or with `deep` two with a GELU between; `tanh` takes GELU's approximation."""
    if not deep:
        return nn.Linear(inputs, outputs)
    return nn.Sequential(
        nn.Linear(inputs, outputs), nn.GELU(approximate="tanh" if tanh else "none"), nn.Linear(outputs, outputs)
    )
