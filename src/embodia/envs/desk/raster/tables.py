"""The arrays that the compiled renderer reads and fills: worlds end to end, cameras, pictures.

Flat tables with offsets, because worlds in one batch may have different numbers of geoms and lights. The one thing to
watch: the tables of a single world are the simulator's own memory, so nothing here is ever written to.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int32]
Array = npt.NDArray[Any]
Number = Any
"""A float32 of compiled code."""

PLANE, SPHERE, CAPSULE, ELLIPSOID, CYLINDER, BOX = 0, 2, 3, 4, 5, 6
KINDS = (PLANE, SPHERE, CAPSULE, ELLIPSOID, CYLINDER, BOX)
"""MuJoCo's numbers of the geom types that can be drawn."""


class Scenes(NamedTuple):
    """Many worlds end to end: world w owns rows `start[w]` to `start[w + 1]` of each table.

    start (W + 1, 3) int32: first geom, material and light of each world. Geoms: kind, group, material, label (G) int32,
    size (G, 3), position (G, 3), rotation (G, 9) float64, rgba (G, 4) float32. Materials: paint (M, 4) float32.
    Lights: place, direction (L, 3) float64, ambient, diffuse (L, 3) float32, lit and parallel (L) bool: whether it
    shines, whether its rays are parallel. head (W, 2, 3) float32: ambient and diffuse light of the
    camera. sky (W, 3) float32:
    colour where nothing is. drawn (6,) bool: which geom groups are drawn.
    """

    start: Integers
    kind: Integers
    group: Integers
    material: Integers
    label: Integers
    size: Doubles
    position: Doubles
    rotation: Doubles
    rgba: Floats
    paint: Floats
    place: Doubles
    direction: Doubles
    ambient: Floats
    diffuse: Floats
    lit: Array
    parallel: Array
    head: Floats
    sky: Floats
    drawn: Array


class Eyes(NamedTuple):
    """One camera a world: position (W, 3), rotation (W, 9) float64 as MuJoCo has them; lens (W, 6), field (W) float64.

    field: vertical field of view in degrees. lens: u of the left edge, v of the upper edge, width and height at depth
    1, all for a field of 90 degrees, then the nearest and the farthest depth drawn.
    """

    position: Doubles
    rotation: Doubles
    lens: Doubles
    field: Doubles


class Projection(NamedTuple):
    """Geoms as a camera sees them: shape (G, 16) float32 and rectangle (G, 4) int32.

    shape: centre, three axes (as rows) and three sizes in the camera's frame: right, up, forward. rectangle: first row
    of pixels, the one after the last, first column, the one after the last; all zero where nothing can be seen.
    """

    shape: Floats
    rectangle: Integers


class Pictures(NamedTuple):
    """What is drawn: rgb (W, H, W', 3) uint8, depth (W, H, W') float32 metres, segmentation (W, H, W') int32."""

    rgb: npt.NDArray[np.uint8]
    depth: Floats
    segmentation: Integers
