"""Is a policy replaying demonstrations? Asked of the actions themselves, so it shows even where replays succeed.

For every episode of the policy the nearest training episode is looked up; the same is done for every training episode
among the others. New scenes need new actions, so an honest policy is about as far from its data as the data from
itself; a replay is far nearer. Watch out: where all scenes look alike the demonstrations are as near to each other as a
replay, and the test then says nothing, by construction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from embodia.core.specs import ActionSpec
from embodia.evaluation.controls import Episodes
from embodia.evaluation.redteam.evidence import Status
from embodia.evaluation.redteam.influence import spans

Actions = npt.NDArray[np.floating[Any]]

NEARER = 4.0
"""A replay is at least this many times nearer to a demonstration than demonstrations are to each other."""

LAGS = (0, 1, 2, 4)
"""Delays at which a replay is looked for, in control steps."""

LEAST = 5
"""Steps that two episodes must share to be compared."""


@dataclass(frozen=True, kw_only=True)
class Copying:
    """Median distances to the nearest demonstration, as shares of the actions' range, and what they say."""

    status: Status
    policy: float
    demonstrations: float
    p_value: float
    n: tuple[int, int]


def copying(played: Sequence[Actions], data: Sequence[Episodes], spec: ActionSpec, *, alpha: float) -> Copying:
    """Whether `played` episodes, each (N A), are copies of training episodes.

    A one-sided exact Mann-Whitney test of `NEARER` times the policy's distances against those among demonstrations.
    """
    shown = [np.asarray(source.actions(row.index)) for source in data for row in source.episodes if row.success]
    mine = np.array([nearest(actions, shown, spec) for actions in played])
    theirs = np.array([nearest(one, [*shown[:i], *shown[i + 1 :]], spec) for i, one in enumerate(shown)])
    mine, theirs = mine[np.isfinite(mine)], theirs[np.isfinite(theirs)]
    if min(len(mine), len(theirs)) < LEAST:
        return Copying(status="undecided", policy=0.0, demonstrations=0.0, p_value=1.0, n=(len(mine), len(theirs)))
    p_value = float(stats.mannwhitneyu(NEARER * mine, theirs, alternative="less").pvalue)
    return Copying(
        status="flagged" if p_value <= alpha else "clear",
        policy=float(np.median(mine)),
        demonstrations=float(np.median(theirs)),
        p_value=p_value,
        n=(len(mine), len(theirs)),
    )


def nearest(actions: Actions, among: Sequence[Actions], spec: ActionSpec) -> float:
    """Root mean square distance to the nearest of `among` over the steps shared, at the best lag; inf without any."""
    span = spans(spec)
    return min((_apart(actions, other, span, lag) for other in among for lag in LAGS), default=np.inf)


def _apart(first: Actions, second: Actions, span: npt.NDArray[np.float64], lag: int) -> float:
    late = first[lag:]
    shared = min(len(late), len(second))
    if shared < LEAST:
        return float(np.inf)
    return float(np.sqrt((((late[:shared] - second[:shared]) / span) ** 2).mean()))
