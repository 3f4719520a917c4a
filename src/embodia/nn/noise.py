"""Random draws that name their generator: a result is a function of its seed, never of a hidden global state."""

from __future__ import annotations

import torch
from torch import Tensor


def normal(shape: tuple[int, ...], like: Tensor, rng: torch.Generator | None) -> Tensor:
    """Standard normal numbers with the dtype and device of `like`; drawn on the generator's own device."""
    device = like.device if rng is None else rng.device
    return torch.randn(shape, generator=rng, device=device, dtype=like.dtype).to(like.device)


def uniform(shape: tuple[int, ...], like: Tensor, rng: torch.Generator | None) -> Tensor:
    """Uniform numbers in [0, 1) with the dtype and device of `like`."""
    device = like.device if rng is None else rng.device
    return torch.rand(shape, generator=rng, device=device, dtype=like.dtype).to(like.device)


def integers(high: int, shape: tuple[int, ...], like: Tensor, rng: torch.Generator | None) -> Tensor:
    """Integers in [0, high) as int64 on the device of `like`."""
    device = like.device if rng is None else rng.device
    return torch.randint(high, shape, generator=rng, device=device).to(like.device)
