"""Smooth made-up movements at any control rate: the same movement sampled coarsely or finely."""

import numpy as np
import torch


def smooth(count: int, rate_hz: int, dim: int = 4, seed: int = 0, seconds: float = 1.0) -> torch.Tensor:
    """(count, rate*seconds, dim): sums of three slow sine waves, one clock for all rates, 99 % within -1..1."""
    rng = np.random.default_rng(seed)
    shape = (count, 1, dim, 3)
    frequency, phase = rng.uniform(0.1, 1.5, shape), rng.uniform(0, 2 * np.pi, shape)
    size = rng.normal(size=shape) / frequency
    clock = np.arange(round(rate_hz * seconds))[None, :, None, None] / rate_hz
    return torch.from_numpy((size * np.sin(2 * np.pi * frequency * clock + phase)).sum(-1) / 25).float()
