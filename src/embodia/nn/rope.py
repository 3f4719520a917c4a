"""Rotary position embedding, half-split layout: feature i turns together with feature i + d/2 (Su et al. 2021).

Angles and rotation are computed in float32 whatever the dtype of the tokens: in bfloat16 a position beyond 256 is not
even representable.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rotary_table(positions: Tensor, dim: int, theta: float = 10000.0) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every position's angles, float32 (B 1 N dim/2) each, from `positions` (B N)."""
    exponent = torch.arange(0, dim, 2, device=positions.device, dtype=torch.float32) / dim
    angles = positions[:, None, :, None].float() * (1.0 / theta**exponent)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
    """Turn queries or keys (B H N d) by a table from `rotary_table`; the dot product then depends on distance alone."""
    cosine, sine = table
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)
    return turned.to(x.dtype)
