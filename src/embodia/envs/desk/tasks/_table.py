"""Laying a table: free spots, loose things of a colour and a shape, and the rival that makes a sentence decide.

The one thing to watch: a rival is an involution (the rival of the rival is the thing itself), and a scene is laid in
the same way whichever of the two is meant, so that no picture gives the task away.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from embodia.core.errors import EnvironmentFailure
from embodia.envs.desk.grammar import COLOURS, SHAPES
from embodia.envs.desk.scenes import Thing
from embodia.envs.desk.world import World

Range: TypeAlias = tuple[float, float]
Kind: TypeAlias = tuple[str, str]
"""Colour and shape."""

X_M: Range = (-0.20, 0.18)
Y_M: Range = (-0.26, 0.26)
"""Where loose things may stand: well inside what the arm reaches with its gripper upright."""

_TRIES = 200
_MATCHINGS = (
    (("red", "blue"), ("green", "purple"), ("yellow", "orange")),
    (("red", "green"), ("blue", "yellow"), ("purple", "orange")),
    (("red", "yellow"), ("blue", "orange"), ("green", "purple")),
)
_SWAPPED = {"cube": "ball", "ball": "cube", "cylinder": "cylinder"}
_PAINTED = {"cube": ("box", (0.02, 0.02, 0.02)), "ball": ("sphere", (0.022,)), "cylinder": ("cylinder", (0.02, 0.025))}


class Table:
    """The spots that are taken so far."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self._taken: list[tuple[float, float, float]] = []

    def take(self, x: float, y: float, radius: float) -> tuple[float, float]:
        """Mark a disc as taken."""
        self._taken.append((x, y, radius))
        return x, y

    def spot(self, radius: float, x: Range = X_M, y: Range = Y_M) -> tuple[float, float]:
        """A free disc (m), uniform over the rectangle. Raises `EnvironmentFailure` when the table is full."""
        for _ in range(_TRIES):
            at = float(self.rng.uniform(*x)), float(self.rng.uniform(*y))
            if all(np.hypot(at[0] - a, at[1] - b) > radius + r for a, b, r in self._taken):
                return self.take(*at, radius)
        raise EnvironmentFailure("no free spot on the table")


def loose(colour: str, shape: str, at: tuple[float, float], rng: np.random.Generator, name: str = "") -> Thing:
    """A thing of that colour and shape standing at x, y with a random heading, called "red-cube"."""
    kind, size = _PAINTED[shape]
    return Thing(
        name=name or f"{colour}-{shape}",
        shape=kind,  # type: ignore[arg-type]
        size_m=size,
        rgba=COLOURS[colour],
        position_m=(*at, size[-1]),
        yaw_rad=float(rng.uniform(-np.pi / 4, np.pi / 4)),
    )


def rival_colour(colour: str, matching: int) -> str:
    """The other colour of its pair in one of three matchings of the six colours."""
    pairs = _MATCHINGS[matching % len(_MATCHINGS)]
    return next(b if a == colour else a for a, b in pairs if colour in (a, b))


def rival(colour: str, shape: str, matching: int = 0) -> Kind:
    """The thing that always stands beside this one: another colour, in one pair of three another shape too."""
    other = rival_colour(colour, matching)
    mixed = any(colour in pair for pair in _MATCHINGS[matching % len(_MATCHINGS)][:1])
    return other, _SWAPPED[shape] if mixed else shape


def bystanders(table: Table, used: Iterable[Kind], most: int = 1, radius: float = 0.04) -> list[Thing]:
    """Up to `most` further things unlike those in `used`."""
    rng, known = table.rng, set(used)
    free = [(c, s) for c in COLOURS for s in SHAPES if (c, s) not in known]
    count = int(rng.integers(most + 1))
    picked = [free[i] for i in rng.choice(len(free), count, replace=False)]
    return [loose(colour, shape, table.spot(radius), rng) for colour, shape in picked]


def pair(table: Table, kinds: tuple[Kind, Kind], radius: float, x: Range = X_M, y: Range = Y_M) -> tuple[Thing, Thing]:
    """A thing and its rival at free places, laid in the same order whichever of the two is meant."""
    first, second = (loose(c, s, table.spot(radius, x, y), table.rng) for c, s in sorted(kinds))
    return first, second


def heading(world: World, name: str) -> float:
    """The turn of something about the vertical, rad."""
    w, x, y, z = world.pose(name)[1]
    return float(np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)))


def in_frame_of(world: World, name: str, base: str) -> npt.NDArray[np.float64]:
    """Where a thing is as seen from a fixture that may be turned about the vertical, (3,) m."""
    x, y, z = world.pose(name)[0] - world.pose(base)[0]
    cos, sin = np.cos(heading(world, base)), np.sin(heading(world, base))
    return np.array([cos * x + sin * y, cos * y - sin * x, z])
