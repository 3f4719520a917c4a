"""Key frames of a demonstration: the few moments between which a hand just moves in a straight line.

A frame is one when the command to a gripper changes, when the hand stands still, when the path turns off the straight
line by more than `BEND_M`, and when the episode ends. Sources: James and Davison 2022 (ARM) for gripper and standstill;
Shi et al. 2023 (AWE) for splitting a path until straight lines fit. The one thing to watch: a frame at which the hand
still waits at a key frame, for example while the gripper closes, still belongs to that one.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodia.core.specs import Contract

BEND_M = 0.03
LEFT_M = 0.004
STILL_M = 0.001
STILL_STEPS = 4
LONGEST_WAIT = 12

Floats = NDArray[np.floating[Any]]
Ids = NDArray[np.int64]


def next_keys(contract: Contract, states: Floats, actions: Floats) -> tuple[Ids, Ids]:
    """For each of N frames: its key frame, and when the hand leaves that one, both (N,) frame numbers.

    `states` (N S) and `actions` (N A) as the contract says; without a place of a tool in the state only grippers count.
    """
    count = len(states)
    keys = _changes(contract, actions) | {count - 1}
    path = states[:, _tool(contract)]
    if path.shape[1]:
        keys |= _rests(path)
        keys |= _bends(path, sorted({0, *keys}))
    ordered = np.array(sorted(keys))
    leaves = np.maximum.accumulate([_leave(path, key) for key in ordered])
    chosen = np.minimum(np.searchsorted(leaves, np.arange(count), side="right"), len(ordered) - 1)
    return ordered[chosen], leaves[chosen]


def _tool(contract: Contract) -> slice:
    """Where in the state the place of the first tool is; empty when it is not there."""
    start = 0
    for part in contract.observation.state:
        if part.units == "m" and part.dim == 3:
            return slice(start, start + 3)
        start += part.dim
    return slice(0, 0)


def _changes(contract: Contract, actions: Floats) -> set[int]:
    found, start = set(), 0
    for part in contract.action.parts:
        if part.representation == "gripper":
            told = actions[:, start] > 0.5 * (part.low + part.high)
            found |= set((np.flatnonzero(told[1:] != told[:-1]) + 1).tolist())
        start += part.dim
    return found


def _rests(path: Floats) -> set[int]:
    """The first frame of every run of `STILL_STEPS` frames in which the hand hardly moves, except at the start."""
    still = np.linalg.norm(np.diff(path, axis=0), axis=1) < STILL_M
    found, run = set(), 0
    for frame, resting in enumerate(still):
        run = run + 1 if resting else 0
        if run == STILL_STEPS and frame >= 2 * STILL_STEPS:
            found.add(frame + 1 - STILL_STEPS)
    return found


def _bends(path: Floats, knots: list[int]) -> set[int]:
    """Where each stretch between `knots` has to be split so that no frame is farther than `BEND_M` from its line."""
    found: set[int] = set()
    waiting = list(pairwise(knots))
    while waiting:
        first, last = waiting.pop()
        if last - first < 2:
            continue
        away = _away(path[first + 1 : last], path[first], path[last])
        worst = int(away.argmax())
        if away[worst] > BEND_M:
            split = first + 1 + worst
            found.add(split)
            waiting += [(first, split), (split, last)]
    return found


def _away(points: Floats, first: Floats, last: Floats) -> Floats:
    """Distance of points from the line between two ends."""
    line = last - first
    along = np.clip((points - first) @ line / max(float(line @ line), 1e-12), 0, 1)
    return np.asarray(np.linalg.norm(points - first - along[:, None] * line, axis=1))


def _leave(path: Floats, key: int) -> int:
    """The first frame after `key` at which the hand is elsewhere."""
    ahead = path[key + 1 : key + 1 + LONGEST_WAIT]
    gone = np.flatnonzero(np.linalg.norm(ahead - path[key], axis=1) > LEFT_M) if path.shape[1] else np.zeros(1, int)
    return min(len(path) - 1, key + 1 + int(gone[0])) if len(gone) else min(len(path) - 1, key + LONGEST_WAIT)
