"""Grasps from above, found on height maps: what is narrow is taken whole, what is wide by its rim.

For every turn of the hand and every place over the object the hand is lowered until palm or a finger would touch
something; how much of the object then stands between the pads decides. The one thing to watch: the first of two equally
good grasps wins, so that demonstrations of one task agree with each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter, minimum_filter, shift

from embodia.generate.experts._angles import wrapped
from embodia.generate.experts._libero_boxes import BELOW, CELL_M, Floats, Heights, heights, turned

PALM_M = (0.106, 0.034)
"""Half length of the palm along the opening and across it."""
PALM_ABOVE_M, TIP_BELOW_M = 0.031, 0.0045
"""The palm's underside and the fingertips, seen from the point that is steered."""
FINGER_M = (0.037, 0.06, 0.012)
"""An open finger: from and to along the opening, half its breadth across."""
PAD_M = 0.008
_ASIDE = int(0.034 / CELL_M)
_MARGIN_M = 0.004
_FLOOR_M = 0.006
_LEAST_M, _ENOUGH_M = 0.005, 0.022
_REACH_M = 0.24
_TURNS = 12


@dataclass(frozen=True, kw_only=True)
class Grasp:
    """Where the hand closes: `place` (3,) metres, `yaw` of the opening (rad, period pi), and how good it is."""

    place: Floats
    yaw: float
    score: float


def hand_points(open_m: float = FINGER_M[1]) -> Floats:
    """Points on the underside of an open hand (P 3): x along the opening, z up, from the point that is steered."""
    palm = _rectangle(PALM_M[0], PALM_M[1], PALM_ABOVE_M)
    finger = _rectangle((open_m - FINGER_M[0]) / 2, FINGER_M[2], -TIP_BELOW_M)
    middle = np.array([(open_m + FINGER_M[0]) / 2, 0.0, 0.0])
    return np.concatenate([palm, finger + middle, finger - middle])


def best_grasp(
    target: Floats,
    others: Floats,
    *,
    yaw_now: float,
    heavy_at: Floats,
    turn_cost: float = 0.05,
    away_cost: float = 8.0,
) -> Grasp | None:
    """The best grasp of the points `target` (P 3) among the points `others` (Q 3); None when there is no way in.

    `heavy_at` is where the object's weight is: farther grasps are worse; so are larger turns of the hand.
    """
    centre = np.array([*(target[:, :2].min(0) + target[:, :2].max(0)) / 2, 0.0])
    near = np.abs(others[:, :2] - centre[:2]).max(axis=1, initial=0.0) < _REACH_M * 1.5
    target, others, bottom = target - centre, others[near] - centre, target[:, 2].min()
    found: Grasp | None = None
    for index in range(_TURNS):
        yaw = np.pi * index / _TURNS
        cost = turn_cost * abs(wrapped(yaw - yaw_now, np.pi))
        grasp = _at_turn(target, others, yaw, float(bottom), heavy_at - centre, away_cost)
        if grasp is not None and (found is None or grasp.score - cost > found.score + 1e-6):
            found = Grasp(place=grasp.place + centre, yaw=yaw, score=grasp.score - cost)
    return found


def _at_turn(
    target: Floats, others: Floats, yaw: float, bottom: float, heavy_at: Floats, away_cost: float
) -> Grasp | None:
    mine = heights(turned(target, yaw), _REACH_M)
    everything = heights(turned(np.concatenate([target, others]), yaw), _REACH_M)
    lowest = lowest_hand(everything, bottom)
    score = _scores(mine, lowest)
    rows, columns = np.indices(lowest.shape)
    middle = len(lowest) // 2
    place = (np.stack([rows, columns], axis=-1) + 0.5 - middle) * CELL_M
    weight = turned(heavy_at, yaw)[:2]
    score = score - away_cost * np.linalg.norm(place - weight, axis=-1)
    best = np.unravel_index(int(np.argmax(score)), score.shape)
    if not np.isfinite(score[best]):
        return None
    u, v = place[best]
    back = turned(np.array([u, v, lowest[best]]), -yaw)
    return Grasp(place=back, yaw=yaw, score=float(score[best]))


def lowest_hand(surface: Heights, bottom: float) -> Floats:
    """How low (N N) an open hand may stand over each cell of a surface; rows run along its opening."""
    palm = _highest(surface.top, (-PALM_M[0], PALM_M[0]), PALM_M[1]) - PALM_ABOVE_M
    sides = [_highest(surface.top, span, FINGER_M[2]) for span in (FINGER_M[:2], (-FINGER_M[1], -FINGER_M[0]))]
    fingers = np.maximum(*sides) + TIP_BELOW_M
    found: Floats = np.maximum(np.maximum(palm, fingers) + _MARGIN_M, bottom + _FLOOR_M)
    return found


def _scores(mine: Heights, lowest: Floats) -> Floats:
    """How good a grasp over each cell is (N N), minus infinity where it is none."""
    tip = lowest - TIP_BELOW_M
    line = _highest(mine.top, (-CELL_M, CELL_M), 0.0)
    solid = minimum_filter(line, size=(1, 2 * int(PAD_M / 2 / CELL_M) + 1))
    depth = _between(solid).max(axis=0) - tip
    offsets = np.arange(-_ASIDE, _ASIDE + 1)[:, None, None] * CELL_M
    there = _between(_highest(line, (0.0, 0.0), PAD_M)) > tip + _LEAST_M
    first, last = np.where(there, offsets, 1.0).min(axis=0), np.where(there, offsets, -1.0).max(axis=0)
    score = np.minimum(depth, _ENOUGH_M) / _ENOUGH_M - 6.0 * (last - first) - 6.0 * np.abs(first + last)
    return np.where(depth > _LEAST_M, score, -np.inf)


def _between(top: Floats) -> Floats:
    """What stands between the open pads, cell by cell along the opening (K N N)."""
    return np.stack([shift(top, (-k, 0), order=0, cval=BELOW) for k in range(-_ASIDE, _ASIDE + 1)])


def _highest(top: Floats, along_m: tuple[float, float], across_m: float) -> Floats:
    """The highest point in a window around each cell."""
    first, last = (round(edge / CELL_M) for edge in along_m)
    middle, length = (first + last) // 2, last - first + 1
    size = (length | 1, 2 * int(np.ceil(across_m / CELL_M)) + 1)
    found: Floats = shift(
        maximum_filter(top, size=size, mode="constant", cval=BELOW), (-middle, 0), order=0, cval=BELOW
    )
    return found


def _rectangle(half_x: float, half_y: float, height: float) -> npt.NDArray[np.float64]:
    x, y = (np.arange(-half, half + CELL_M, CELL_M) for half in (half_x, half_y))
    flat = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
    return np.concatenate([flat, np.full((len(flat), 1), height)], axis=1)
