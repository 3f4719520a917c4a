"""Small fully connected maps."""

from __future__ import annotations

from torch import nn


def projection(inputs: int, outputs: int, deep: bool = False) -> nn.Module:
    """A linear map, or with `deep` two with a GELU between."""
    if not deep:
        return nn.Linear(inputs, outputs)
    return nn.Sequential(nn.Linear(inputs, outputs), nn.GELU(), nn.Linear(outputs, outputs))
