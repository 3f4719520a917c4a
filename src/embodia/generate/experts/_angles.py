"""Angles that come round."""

from __future__ import annotations

import numpy as np


def wrapped(angle: float, period: float = 2 * np.pi) -> float:
    """`angle` plus whole periods, between minus and plus half a period, radians."""
    return float((angle + period / 2) % period - period / 2)
