"""One number for many tasks: the mean of their success rates, and an interval that says over what it generalises.

Over *these* tasks the only doubt is about episodes. Over tasks *like* these the tasks are a sample too, and twenty
thousand episodes on five tasks are still five tasks: that interval is wide, and it is the one for "generalises".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from embodia.core.errors import ConfigError
from embodia.evaluation.statistics.exact import mean_interval
from embodia.evaluation.statistics.intervals import Interval, Rate, wilson

Over = Literal["these", "such"]


@dataclass(frozen=True, kw_only=True)
class MeanRate:
    """The unweighted mean of the success rates of `tasks` tasks, with its 95 % interval; `n` episodes in all."""

    value: float
    interval: Interval
    tasks: int
    n: int
    over: Over


def mean_over_tasks(rates: Sequence[Rate], over: Over = "these", confidence: float = 0.95) -> MeanRate:
    """Mean of the tasks' rates.

    these  the tasks are all there is: Wilson's intervals of the tasks joined by the square root of the sum of squares
           (MOVER, Zou and Donner 2008), which keeps to 0..1 and works with rates of 0 and 1
    such   the tasks are a sample of what could be asked: Student's interval over the tasks' rates, cut to 0..1, and
           never narrower than over these tasks (tasks that all went alike would else leave no doubt at all)

    Tasks without episodes are refused with `ConfigError`: leaving them out would change what the mean is of.
    """
    if not rates or not all(rate.n for rate in rates):
        raise ConfigError("a mean over tasks needs episodes in every task", leaf="rates")
    values = np.array([rate.value for rate in rates])
    interval = _these(rates, values, confidence)
    if over == "such":
        low, high = mean_interval(values, confidence)[1]
        interval = max(0.0, min(low, interval[0])), min(1.0, max(high, interval[1]))
    return MeanRate(
        value=float(values.mean()), interval=interval, tasks=len(rates), n=sum(r.n for r in rates), over=over
    )


def _these(rates: Sequence[Rate], values: Any, confidence: float) -> Interval:
    ends = np.array([wilson(rate.successes, rate.n, confidence) for rate in rates])
    below = np.sqrt(np.square(values - ends[:, 0]).sum()) / len(rates)
    above = np.sqrt(np.square(ends[:, 1] - values).sum()) / len(rates)
    return float(max(0.0, values.mean() - below)), float(min(1.0, values.mean() + above))
