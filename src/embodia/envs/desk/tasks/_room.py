"""A room for a body on wheels: walls on the floor, ways round them, and whether one of them was hit.

Ways are shortest paths on a grid of cells (Dijkstra 1959, by scipy) in which the round base keeps clear of every
obstacle. The one thing to watch: the base may drive sideways, so a way is a line for its middle and says nothing of its
heading.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from embodia.core.errors import EnvironmentFailure
from embodia.envs.desk.scenes import Fixture
from embodia.envs.desk.tasks import Memory
from embodia.envs.desk.world import World

Floats: TypeAlias = npt.NDArray[np.float64]
Spot: TypeAlias = tuple[float, float]

ROOM_M = 1.25
"""Half the side of the square in which things stand and ways lead."""
BASE_M, CLEAR_M = 0.18, 0.07
"""Radius of the base, and how far from obstacles it is planned."""
STAND_M = 0.52
"""How far before a thing the base stands when the arm reaches for it."""
LIGHT_N = 20.0
"""The largest force on a wall that still counts as a touch."""
WALL_M = (0.03, 0.08)
"""Half thickness and half height of a wall: lower than the arm."""
_WAYS, _HAND_M = 24, 0.08
"""Directions from which a thing is approached; how far the arm stays from walls there."""
_CELL_M, _FREE_WALLS, _TRIES, _DEEP_M = 0.05, 2, 60, 0.04
_GREY = (0.55, 0.55, 0.58, 1.0)


class Floor:
    """Where the middle of the base may be, given walls, and round obstacles as (x, y, radius)."""

    def __init__(self, walls: Iterable[Fixture], discs: Iterable[tuple[float, float, float]] = ()) -> None:
        count = round(2 * ROOM_M / _CELL_M) + 1
        self._axis = np.linspace(-ROOM_M, ROOM_M, count)
        cells = np.stack(np.meshgrid(self._axis, self._axis, indexing="ij"), axis=-1).reshape(-1, 2)
        self._walls, self._discs, self._count = tuple(walls), tuple(discs), count
        self._cells = cells
        self._free = self._gap(cells) > BASE_M + CLEAR_M
        self._graph = self._joined()

    def free(self, at: Floats) -> bool:
        """Whether the base may stand at x, y."""
        return bool(np.abs(at).max() <= ROOM_M and self._gap(at[None])[0] > BASE_M + CLEAR_M)

    def straight(self, start: Floats, end: Floats, clear_m: float = CLEAR_M) -> bool:
        """Whether the base may drive straight from one place to another, so far from every obstacle."""
        steps = max(2, int(np.linalg.norm(end - start) / (0.5 * _CELL_M)))
        line = start + np.linspace(0.0, 1.0, steps)[:, None] * (end - start)
        return bool(self._gap(line[1:]).min() > BASE_M + clear_m)

    def way(self, start: Floats, end: Floats) -> Floats:
        """Places (N, 2) from `start` to `end`, cell by cell. Raises `EnvironmentFailure` where there is no way."""
        first, last = self._nearest(start), self._nearest(end)
        lengths, before = dijkstra(self._graph, directed=False, indices=last, return_predecessors=True)
        if not np.isfinite(lengths[first]):
            raise EnvironmentFailure("no way leads there")
        found = [first]
        while found[-1] != last:
            found.append(int(before[found[-1]]))
        return np.concatenate([start[None], self._cells[found[1:]], end[None]])

    def stands(self, thing: Floats, away_m: float) -> Floats:
        """Free places (N, 2) in a circle round a thing, with no wall between."""
        turns = np.linspace(-np.pi, np.pi, _WAYS, endpoint=False)
        ring = thing + away_m * np.stack([np.cos(turns), np.sin(turns)], axis=-1)
        open_to = [self._wall_gap(thing + step * (ring - thing)) > _HAND_M for step in np.linspace(0.0, 1.0, 12)]
        inside = np.abs(ring).max(axis=1) <= ROOM_M
        return np.asarray(ring[np.all(open_to, axis=0) & inside & (self._gap(ring) > BASE_M + CLEAR_M)])

    def lengths(self, start: Floats, ends: Floats) -> Floats:
        """How long the ways are to places (N, 2), infinite where there is none."""
        found = dijkstra(self._graph, directed=False, indices=self._nearest(start))
        return np.asarray(found[[self._nearest(end) for end in ends]], dtype=np.float64)

    def _gap(self, places: Floats) -> Floats:
        """Distance (N,) of places (N, 2) to the nearest obstacle."""
        nearest = self._wall_gap(places)
        for x, y, radius in self._discs:
            nearest = np.minimum(nearest, np.hypot(places[:, 0] - x, places[:, 1] - y) - radius)
        return nearest

    def _wall_gap(self, places: Floats) -> Floats:
        nearest = np.full(len(places), np.inf)
        for wall in self._walls:
            offset = places - np.array(wall.position_m[:2])
            cos, sin = np.cos(wall.yaw_rad), np.sin(wall.yaw_rad)
            along = np.abs(offset @ np.array([cos, sin])) - wall.size_m[0]
            across = np.abs(offset @ np.array([-sin, cos])) - wall.size_m[1]
            nearest = np.minimum(nearest, np.hypot(np.maximum(along, 0.0), np.maximum(across, 0.0)))
        return nearest

    def _nearest(self, at: Floats) -> int:
        away = np.hypot(*(self._cells - at).T)
        return int(np.argmin(np.where(self._free, away, np.inf)))

    def _joined(self) -> Any:
        grid = np.arange(self._count**2).reshape(self._count, self._count)
        ends = [
            (grid[:-1], grid[1:]),
            (grid[:, :-1], grid[:, 1:]),
            (grid[:-1, :-1], grid[1:, 1:]),
            (grid[1:, :-1], grid[:-1, 1:]),
        ]
        one, two = (np.concatenate([pair[side].ravel() for pair in ends]) for side in (0, 1))
        known = self._free[one] & self._free[two]
        one, two = one[known], two[known]
        lengths = np.hypot(*(self._cells[one] - self._cells[two]).T)
        return coo_array((lengths, (one, two)), shape=(self._count**2,) * 2).tocsr()


def walls_between(rng: np.random.Generator, start: Spot, goals: tuple[Spot, ...]) -> tuple[Fixture, ...]:
    """A wall across the straight way to every goal, and some more."""
    found: list[Fixture] = []
    for goal in goals:
        line = np.subtract(goal, start)
        middle = start + rng.uniform(0.45, 0.55) * line
        turn = float(np.arctan2(line[1], line[0]) + np.pi / 2 + rng.uniform(-0.3, 0.3))
        found.append(_wall(len(found), middle, turn, rng))
    for _ in range(int(rng.integers(_FREE_WALLS + 1))):
        found.append(_wall(len(found), rng.uniform(-0.8, 0.8, 2), float(rng.uniform(0, np.pi)), rng))
    return tuple(found)


def _wall(number: int, at: Floats, turn: float, rng: np.random.Generator) -> Fixture:
    size = (float(rng.uniform(0.2, 0.32)), *WALL_M)
    place = (float(at[0]), float(at[1]), 0.0)
    return Fixture(kind="wall", name=f"wall-{number}", size_m=size, position_m=place, yaw_rad=turn, rgba=_GREY)


def spread(rng: np.random.Generator, count: int, apart_m: float, within_m: float) -> tuple[Spot, ...]:
    """Places at least `apart_m` from one another. Raises `EnvironmentFailure` when there is no room."""
    found: list[Spot] = []
    for _ in range(_TRIES):
        at = float(rng.uniform(-within_m, within_m)), float(rng.uniform(-within_m, within_m))
        if all(np.hypot(at[0] - x, at[1] - y) > apart_m for x, y in found):
            found.append(at)
        if len(found) == count:
            return tuple(found)
    raise EnvironmentFailure("the room is too small")


def barred(floor: Floor, start: Spot, goals: tuple[Spot, ...]) -> None:
    """Raise `EnvironmentFailure` unless no goal stands in a wall, and the first two are reached, but not straight."""
    here = np.array(start)
    if not all(floor.free(at) for at in (here, *map(np.array, goals))):
        raise EnvironmentFailure("a goal stands in a wall")
    for goal in map(np.array, goals[:2]):
        if floor.straight(here, goal, -_DEEP_M):
            raise EnvironmentFailure("no wall stands before a goal")
        floor.way(here, goal)


def unhurt(world: World) -> Memory:
    """No wall was hit so far."""
    return {"hit": False}


def hit(world: World, memory: Memory) -> bool:
    """Whether a wall was pressed harder than a light touch at the end of any step so far."""
    force = sum(world.contact_force(item.name) for item in world.scene.fixtures if item.kind == "wall")
    memory["hit"] = bool(memory["hit"] or force > LIGHT_N)
    return bool(memory["hit"])
