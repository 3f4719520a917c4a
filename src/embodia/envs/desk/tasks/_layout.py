"""Where things go: colours, shapes and places without overlap, drawn from a generator."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from embodia.core.errors import EnvironmentFailure
from embodia.envs.desk.scenes import Rgba, Shape, Thing

COLOURS: Mapping[str, Rgba] = MappingProxyType(
    {
        "red": (0.85, 0.08, 0.08, 1.0),
        "green": (0.05, 0.6, 0.1, 1.0),
        "blue": (0.08, 0.2, 0.9, 1.0),
        "yellow": (0.95, 0.8, 0.05, 1.0),
        "purple": (0.5, 0.1, 0.65, 1.0),
        "orange": (0.95, 0.45, 0.05, 1.0),
        "white": (0.95, 0.95, 0.95, 1.0),
        "black": (0.06, 0.06, 0.06, 1.0),
    }
)
SHAPES: Mapping[str, tuple[Shape, tuple[float, ...], float]] = MappingProxyType(
    {
        "cube": ("box", (0.021, 0.021, 0.021), 0.021),
        "ball": ("sphere", (0.023,), 0.023),
        "can": ("cylinder", (0.02, 0.028), 0.028),
    }
)
"""Word -> shape, half sizes, height of the centre when it stands on the table."""

Region = tuple[float, float, float, float]
WORK: Region = (-0.14, 0.16, -0.24, 0.24)
"""x low, x high, y low, y high of the table that the arm reaches with ease, m."""


def places(
    rng: np.random.Generator, count: int, *, apart: float = 0.11, region: Region = WORK
) -> list[tuple[float, float]]:
    """`count` points of `region` at least `apart` metres from each other. Raises `EnvironmentFailure` when full."""
    for _ in range(50):
        found: list[tuple[float, float]] = []
        for _ in range(60 * count):
            x, y = float(rng.uniform(region[0], region[1])), float(rng.uniform(region[2], region[3]))
            if all((x - a) ** 2 + (y - b) ** 2 >= apart**2 for a, b in found):
                found.append((x, y))
            if len(found) == count:
                return found
    raise EnvironmentFailure(f"{count} things {apart} m apart do not fit into {region}")


def thing(name: str, place: tuple[float, float], yaw_rad: float = 0.0) -> Thing:
    """The thing that a name such as "red-cube" says, standing on the table."""
    colour, word = name.split("-")
    shape, size, height = SHAPES[word]
    return Thing(
        name=name,
        shape=shape,
        size_m=size,
        rgba=COLOURS[colour],
        position_m=(place[0], place[1], height),
        yaw_rad=yaw_rad,
        mass_kg=0.05,
    )
