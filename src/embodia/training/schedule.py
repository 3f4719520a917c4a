"""Learning-rate schedules as small frozen objects: a factor on the peak rate, pure in (step, fraction of the run).

The warm-up counts steps and the shape follows the fraction that is over, so that the same object serves a budget in
steps (the fraction is exact and the run repeats bit for bit) and a budget in seconds (the fraction is measured).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from embodia.training.config import TrainConfig

_DEFAULT_WARMUP = 500
_WARMUP_SHARE = 20
_WARMUP_UNKNOWN = 50


class Schedule(Protocol):
    """Anything that gives the factor on the peak learning rate."""

    def factor(self, step: int, fraction: float) -> float:
        """Factor for step `step` (from 0), when `fraction` (0 to 1) of the run is over."""
        ...


def _rise(step: int, warmup_steps: int) -> float:
    return min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0


@dataclass(frozen=True, kw_only=True)
class Constant:
    """The peak rate after the warm-up."""

    warmup_steps: int = 0

    def factor(self, step: int, fraction: float) -> float:
        """1 after the warm-up."""
        return _rise(step, self.warmup_steps)


@dataclass(frozen=True, kw_only=True)
class Linear:
    """A straight line from the peak to `final` of it."""

    warmup_steps: int = 0
    final: float = 0.0

    def factor(self, step: int, fraction: float) -> float:
        """Warm-up times the line."""
        return _rise(step, self.warmup_steps) * (1.0 + (self.final - 1.0) * fraction)


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """Half a cosine from the peak to `final` of it (SGDR without restarts, arXiv 1608.03983)."""

    warmup_steps: int = 0
    final: float = 0.0

    def factor(self, step: int, fraction: float) -> float:
        """Warm-up times the cosine."""
        return _rise(step, self.warmup_steps) * (
            self.final + (1.0 - self.final) * 0.5 * (1 + math.cos(math.pi * fraction))
        )


def from_config(config: TrainConfig) -> Schedule:
    """The schedule that a configuration names, with its derived warm-up."""
    warmup = warmup_steps(config)
    if config.schedule == "constant":
        return Constant(warmup_steps=warmup)
    kind = Linear if config.schedule == "linear" else Cosine
    return kind(warmup_steps=warmup, final=config.final_factor)


def warmup_steps(config: TrainConfig) -> int:
    """The configured warm-up, or a twentieth of the steps up to 500, or 50 where only the clock limits the run."""
    if config.warmup_steps is not None:
        return config.warmup_steps
    if config.step_limit is None:
        return _WARMUP_UNKNOWN
    return min(_DEFAULT_WARMUP, config.step_limit // _WARMUP_SHARE)
