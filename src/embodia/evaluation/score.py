"""Scores beside success: the mean over episodes of the largest reward of one step, with its interval.

PushT counts the best coverage of an episode, and a stage reward says how far a failure came. The one thing to watch:
the interval is a bootstrap over episodes with a fixed seed, so a report stays the same to the byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from embodia.evaluation.episodes import POLICY, Episode, arms, of_arm

Score: TypeAlias = Literal["success", "best_reward"]
"""What a suite reports: success alone, or the best reward of an episode too."""

RESAMPLES = 10_000


def score_entry(episodes: Sequence[Episode]) -> dict[str, Any]:
    """Mean best reward of the policy with a 95 % bootstrap interval, and of every control."""
    mine = of_arm(episodes, POLICY)
    others = {arm: mean_entry([item.best_reward for item in of_arm(episodes, arm)]) for arm in arms(episodes)}
    return {"name": "best_reward", **mean_entry([item.best_reward for item in mine]), "controls": others}


def mean_entry(values: Sequence[float]) -> dict[str, Any]:
    """`mean`, `n` and the percentile bootstrap `interval` of independent values; no values give NaN-free zeros."""
    if not values:
        return {"mean": 0.0, "n": 0, "interval": [0.0, 0.0]}
    array = np.asarray(values, dtype=np.float64)
    rng = np.random.default_rng(0)
    means = np.array([rng.choice(array, len(array)).mean() for _ in range(RESAMPLES)])
    low, high = np.quantile(means, (0.025, 0.975))
    return {"mean": float(array.mean()), "n": len(array), "interval": [float(low), float(high)]}
