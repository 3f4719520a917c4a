"""Sinusoidal positions: of a sequence, of a feature map, of a diffusion time.

Several layouts live in the field under one name; each function says which one it is. All are plain tables: pure
functions of sizes, so they cost no parameter and are made once.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sequence_positions(length: int, width: int, temperature: float = 10000.0) -> Tensor:
    """Positions 0..length-1 as (length, width): sine and cosine interleaved (Vaswani et al. 2017, section 3.5)."""
    return _interleaved(torch.arange(length, dtype=torch.float64), width, temperature).float()


def grid_positions(height: int, width: int, dim: int, temperature: float = 10000.0) -> Tensor:
    """Positions of a feature map in row-major order, (height * width, dim); `dim` is a multiple of four.

    Rows fill the first half of `dim`, columns the second. Coordinates are (i + 1) / n of a full turn, so the last row
    and column lie at 2 pi whatever the resolution (DETR, Carion et al. 2020, with normalised coordinates).
    """
    rows = _turn(height)[:, None].expand(height, width)
    columns = _turn(width)[None, :].expand(height, width)
    halves = [_interleaved(axis.reshape(-1), dim // 2, temperature) for axis in (rows, columns)]
    return torch.cat(halves, dim=-1).float()


def time_positions(time: Tensor, width: int, longest: float = 10000.0) -> Tensor:
    """A scalar time (B,) as (B, width): all sines, then all cosines, frequencies from 1 to 1 / longest (DDPM)."""
    half = width // 2
    steps = torch.arange(half, device=time.device, dtype=torch.float32)
    angles = time.float()[:, None] * torch.exp(-math.log(longest) / (half - 1) * steps)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def step_positions(time: Tensor, width: int, longest: float = 10000.0, *, ends: bool = False) -> Tensor:
    """A scalar time (B,) as (B, width): all cosines, then all sines, frequencies from 1 to above 1 / longest (DiT).

    `ends`: the last one is 1 / longest itself.
    """
    half = width // 2
    steps = torch.arange(half, device=time.device, dtype=torch.float32)
    angles = time.float()[:, None] * torch.exp(-math.log(longest) / (half - ends) * steps)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def _turn(count: int) -> Tensor:
    steps = torch.arange(1, count + 1, dtype=torch.float64)
    return steps / (count + 1e-6) * 2 * math.pi


def _interleaved(value: Tensor, width: int, temperature: float) -> Tensor:
    exponent = torch.arange(0, width, 2, dtype=torch.float64) / width
    angles = value[:, None] / temperature**exponent
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)
