"""Continuous time as features: sines and cosines whose periods, not frequencies, are spaced geometrically."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def periodic_time(time: Tensor, width: int, shortest: float = 4e-3, longest: float = 4.0) -> Tensor:
    """Time (B,) in [0, 1] as float32 (B width): all sines, then all cosines.

    The shortest period must resolve one integration step, the longest must not repeat within [0, 1] (pi0, appendix B).
    """
    fraction = torch.linspace(0.0, 1.0, width // 2, device=time.device, dtype=torch.float32)
    period = shortest * (longest / shortest) ** fraction
    angle = (1.0 / period * 2 * math.pi)[None, :] * time.float()[:, None]
    return torch.cat([angle.sin(), angle.cos()], dim=1)
