"""Lifelong learning in three numbers: forward transfer, negative backward transfer, area under the success curve.

After each of K tasks, learned one after another, the policy is evaluated on all tasks so far: `success[i, j]` is the
rate on task j after learning task i. While task k is learned, it is evaluated at E moments: `during[k]`. Equations of
"LIBERO: Benchmarking Knowledge Transfer for Lifelong Robot Learning", 2023, arXiv 2306.03310, section 3.
The one thing to watch: backward transfer is negative here, less is better, and the last task, which nothing follows,
counts as 0 in its mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from embodia.core.errors import ConfigError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Lifelong:
    """Each in 0..1 but `nbt`, which lies in -1..1 and is better when small.

    fwt   mean success on a task while it is learned: how fast
    nbt   mean fall of a task's success over all later moments: how much is forgotten
    auc   mean success on a task from its learning to the end: both together
    """

    fwt: float
    nbt: float
    auc: float


def lifelong(success: Any, during: Any) -> Lifelong:
    """The three metrics of `success` (K K), of which only j <= i counts, and `during` (K E). Raises `ConfigError`."""
    matrix, learning = _checked(success, during)
    count = len(matrix)
    speed = learning.mean(axis=1)
    falls, areas = np.zeros(count), np.zeros(count)
    for task in range(count):
        later = matrix[task + 1 :, task]
        falls[task] = (matrix[task, task] - later).mean() if len(later) else 0.0
        areas[task] = (speed[task] + later.sum()) / (count - task)
    return Lifelong(fwt=float(speed.mean()), nbt=float(falls.mean()), auc=float(areas.mean()))


def success_matrix(reports: Sequence[Mapping[str, Any]], tasks: Sequence[str]) -> Floats:
    """`success` (K K) out of one report after each task, in the order of learning; what was not played is NaN.

    Raises `ConfigError` where a report lacks a task that was learned before it.
    """
    matrix = np.full((len(tasks), len(tasks)), np.nan)
    for row, report in enumerate(reports):
        for column, task in enumerate(tasks):
            entry = report["per_task"].get(task)
            if entry is not None:
                matrix[row, column] = entry["success_rate"]
            elif column <= row:
                raise ConfigError(f"the evaluation after {row + 1} tasks lacks {task}", leaf=task)
    return matrix


def _checked(success: Any, during: Any) -> tuple[Floats, Floats]:
    matrix, learning = np.asarray(success, np.float64), np.asarray(during, np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix):
        raise ConfigError(f"success is a square matrix, got {matrix.shape}", leaf="success")
    if learning.ndim != 2 or len(learning) != len(matrix) or not learning.shape[1]:
        raise ConfigError(f"during has a row for each of {len(matrix)} tasks, got {learning.shape}", leaf="during")
    lower = matrix[np.tril_indices(len(matrix))]
    for name, values in (("success", lower), ("during", learning)):
        if not ((values >= 0) & (values <= 1)).all():
            raise ConfigError("success rates lie between 0 and 1", leaf=name)
    return matrix, learning
