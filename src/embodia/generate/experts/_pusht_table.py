"""A second PushT table on which pushes are tried out, and the geometry of the T: contacts, clearance, ways round it.

The one thing to watch: the table copies poses, not the solver's memory of contacts, so a tried push and the real one
differ by a pixel or so.
"""

from __future__ import annotations

import heapq
from itertools import pairwise, product
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

FINGER_PX = 15.0
EDGE_PX = 22.0
TABLE_PX = 512.0
_OUTLINE = ((-60, 0), (60, 0), (60, 30), (15, 30), (15, 120), (-15, 120), (-15, 30), (-60, 30))
_CELL_PX = 24.0
_SUBSTEPS = 10
_LEAVE_PX = -1.5


def outline(pose: Floats) -> Floats:
    """Corners (8 2) of a T at `pose` (x, y, angle), in order."""
    x, y, angle = pose
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners: Floats = np.asarray(_OUTLINE, np.float64) @ turn.T + (x, y)
    return corners


def distance(pose: Floats, goal: Floats) -> float:
    """Mean distance of the corners of two poses, pixels."""
    return float(np.linalg.norm(outline(pose) - outline(goal), axis=1).mean())


def contacts(pose: Floats, spacing_px: float = 15.0) -> list[tuple[Floats, Floats]]:
    """Points along the outline with the direction into the T, about `spacing_px` apart."""
    found = []
    corners = outline(pose)
    centre = corners.mean(axis=0)
    for a, b in pairwise([*corners, corners[0]]):
        along = (b - a) / np.linalg.norm(b - a)
        inward = np.array([-along[1], along[0]])
        middle = (a + b) / 2
        if not inside(middle + inward * 2.0, corners):
            inward = -inward
        count = max(1, int(np.linalg.norm(b - a) / spacing_px))
        for share in (np.arange(count) + 0.5) / count:
            found.append((a + share * (b - a), inward))
    return sorted(found, key=lambda pair: float(np.arctan2(*(pair[0] - centre))))


def inside(point: Floats, corners: Floats) -> bool:
    """Whether a point lies in the polygon."""
    from shapely.geometry import Point, Polygon

    return bool(Polygon(corners).contains(Point(point)))


def clear(a: Floats, b: Floats, shape: Any, margin_px: float) -> bool:
    """Whether the finger can go straight from a to b with `margin_px` to spare; `shape` is a shapely polygon."""
    from shapely.geometry import LineString, Point

    way = Point(a) if np.allclose(a, b) else LineString([a, b])
    return bool(shape.distance(way) > FINGER_PX + margin_px)


def way_round(start: Floats, goal: Floats, pose: Floats) -> list[Floats]:
    """Straight pieces from start to goal that keep off the T, without the start; none where there is no way.

    The finger may leave a T that it touches.
    """
    from shapely.geometry import Polygon

    shape = Polygon(outline(pose))
    if clear(start, goal, shape, _LEAVE_PX):
        return [goal]
    axis = np.arange(EDGE_PX, TABLE_PX - EDGE_PX + 1, _CELL_PX)
    cells = [np.array(cell) for cell in product(axis, axis)]
    nodes = [start, goal, *(cell for cell in cells if clear(cell, cell, shape, 4.0))]
    return _shortest(nodes, shape)


def _shortest(nodes: list[Floats], shape: Any) -> list[Floats]:
    """Dijkstra from node 0 to node 1 over neighbours that see each other."""
    places = np.stack(nodes)
    best, before, queue = {0: 0.0}, {}, [(0.0, 0)]
    while queue:
        cost, here = heapq.heappop(queue)
        if here == 1:
            break
        if cost > best[here]:
            continue
        spans = np.linalg.norm(places - places[here], axis=1)
        for other in np.flatnonzero((spans > 0) & (spans < 2.3 * _CELL_PX)):
            reached = cost + float(spans[other])
            margin = _LEAVE_PX if here == 0 else 1.0 if other == 1 else 3.0
            if reached < best.get(int(other), np.inf) and clear(places[here], places[other], shape, margin):
                best[int(other)], before[int(other)] = reached, here
                heapq.heappush(queue, (reached, int(other)))
    return _pulled(places, before, shape) if 1 in before else []


def _pulled(places: Floats, before: dict[int, int], shape: Any) -> list[Floats]:
    """The way to node 1 with corners left out that need not be visited."""
    chain = [1]
    while chain[-1] != 0:
        chain.append(before[chain[-1]])
    points = [places[index] for index in reversed(chain)]
    kept, here = [], 0
    while here < len(points) - 1:
        onward = [
            k
            for k in range(here + 1, len(points))
            if k == here + 1 or clear(points[here], points[k], shape, 1.0 if here else _LEAVE_PX)
        ]
        here = max(onward)
        kept.append(points[here])
    return kept


class Trial:
    """The second table."""

    def __init__(self) -> None:
        from gym_pusht.envs.pusht import PushTEnv

        self._table: Any = PushTEnv(obs_type="state")
        self._table._setup()

    def push(self, pose: Floats, finger: Floats, target: Floats, steps: int) -> Floats:
        """The pose (3,) of a T at `pose` after `steps` control steps of a finger that goes from rest to target."""
        table = self._table
        block, agent, space = table.block, table.agent, table.space
        agent.position, agent.velocity = tuple(finger), (0.0, 0.0)
        block.angle, block.position = float(pose[2]), (float(pose[0]), float(pose[1]))
        block.velocity, block.angular_velocity = (0.0, 0.0), 0.0
        space.reindex_shapes_for_body(block)
        space.reindex_shapes_for_body(agent)
        aim = (float(target[0]), float(target[1]))
        for _ in range(steps * _SUBSTEPS):
            (x, y), (u, v) = agent.position, agent.velocity
            ax = table.k_p * (aim[0] - x) - table.k_v * u
            ay = table.k_p * (aim[1] - y) - table.k_v * v
            agent.velocity = (u + ax * table.dt, v + ay * table.dt)
            space.step(table.dt)
        return np.array([*block.position, block.angle])
