"""Things of a LIBERO scene as sets of boxes, and the height map that grasps and placements are planned on.

Nearly every collision shape of the benchmark is a box; the few others are replaced by the box around them. The one
thing to watch: a height map knows only the highest point of each column, so what hangs over hides what is below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]

CELL_M = 0.004
BELOW = -10.0
"""Height of a column in which there is nothing."""


def points_of(centre: Floats, axes: Floats, half: Floats, spacing_m: float = CELL_M) -> Floats:
    """A lattice through a box (P 3): `axes` (3 3) has its directions as columns, `half` (3,) its half lengths."""
    counts = np.maximum(2, np.ceil(2 * np.asarray(half) / spacing_m).astype(int) + 1)
    lines = [np.linspace(-extent, extent, count) for extent, count in zip(half, counts, strict=True)]
    lattice = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, 3)
    points: Floats = lattice @ np.asarray(axes).T + centre
    return points


def turned(points: Floats, yaw: float) -> Floats:
    """Points (... 3) as seen in a frame that is turned by `yaw` about the vertical."""
    cosine, sine = np.cos(yaw), np.sin(yaw)
    rotation = np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    found: Floats = points @ rotation.T
    return found


@dataclass(frozen=True, kw_only=True)
class Heights:
    """The highest point of each column of a square of cells around (0, 0), (N N), metres; `BELOW` where it is empty."""

    top: Floats

    @property
    def reach_m(self) -> float:
        """Half the side of the square."""
        return len(self.top) * CELL_M / 2

    def cells(self, points: Floats) -> tuple[npt.NDArray[np.int_], npt.NDArray[np.bool_]]:
        """Row and column (P 2) of each point, and whether it is inside the square (P,)."""
        index = np.floor(points[:, :2] / CELL_M).astype(int) + len(self.top) // 2
        return index, ((index >= 0) & (index < len(self.top))).all(axis=1)

    def landing(self, points: Floats) -> float:
        """How far up points (P 3) must be moved so that none is under the surface; negative if all are above it."""
        index, inside = self.cells(points)
        rows, columns = index[inside].T
        return float((self.top[rows, columns] - points[inside, 2]).max(initial=BELOW))


def heights(points: Floats, reach_m: float) -> Heights:
    """The height map of points (P 3) given relative to the centre of the square."""
    count = 2 * int(np.ceil(reach_m / CELL_M))
    found = Heights(top=np.full((count, count), BELOW))
    index, inside = found.cells(points)
    rows, columns = index[inside].T
    np.maximum.at(found.top, (rows, columns), points[inside, 2])
    return found
