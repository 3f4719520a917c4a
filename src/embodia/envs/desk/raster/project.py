"""Geoms seen from a camera: each becomes sixteen numbers in the camera's frame and a rectangle of pixels.

Rectangles are exact for round shapes (tangent lines of their projections) and for cuboids cut at the nearest depth, so
that a shape is tried on few pixels that it does not cover. The one thing to watch: a round shape that reaches behind
the camera has no bounded projection; it is bounded by its cuboid instead.
"""

from __future__ import annotations

import math

import numpy as np

from embodia.envs.desk.raster.jit import compiled, inlined
from embodia.envs.desk.raster.tables import (
    CAPSULE,
    CYLINDER,
    ELLIPSOID,
    PLANE,
    SPHERE,
    Doubles,
    Eyes,
    Floats,
    Projection,
    Scenes,
)


@inlined
def _span(xx: float, xz: float, zz: float) -> tuple[float, float]:
    """Least and greatest x / z of a quadric from its dual form; zz must be above zero."""
    spread = math.sqrt(max(xz * xz - xx * zz, 0.0))
    return (xz - spread) / zz, (xz + spread) / zz


@inlined
def _round_bounds(box: Doubles, c: Doubles, a: Doubles, reach: Doubles) -> bool:
    """Widen box (4,) by an ellipsoid: centre c, axes a (3, 3), radii reach (3,). False where it meets depth 0."""
    zz = c[2] * c[2]
    for k in range(3):
        zz -= (reach[k] * a[k, 2]) ** 2
    if zz <= 1e-12 or c[2] <= 0.0:
        return False
    for side in range(2):
        xx, xz = c[side] * c[side], c[side] * c[2]
        for k in range(3):
            xx -= (reach[k] * a[k, side]) ** 2
            xz -= reach[k] * reach[k] * a[k, side] * a[k, 2]
        low, high = _span(xx, xz, zz)
        box[2 * side], box[2 * side + 1] = min(box[2 * side], low), max(box[2 * side + 1], high)
    return True


@inlined
def _corner(out: Doubles, number: int, c: Doubles, a: Doubles, half: Doubles) -> None:
    for side in range(3):
        out[side] = c[side]
        for k in range(3):
            out[side] += half[k] * a[k, side] * (1.0 if (number >> k) & 1 else -1.0)


@inlined
def _widen(box: Doubles, x: float, y: float, z: float) -> None:
    box[0], box[1] = min(box[0], x / z), max(box[1], x / z)
    box[2], box[3] = min(box[2], y / z), max(box[3], y / z)


@inlined
def _box_bounds(box: Doubles, c: Doubles, a: Doubles, half: Doubles, near: float, work: Doubles) -> None:
    """Widen box (4,) by the part of a cuboid that lies beyond depth `near`: corners, and edges where they cross it."""
    for number in range(8):
        _corner(work[0], number, c, a, half)
        if work[0, 2] >= near:
            _widen(box, work[0, 0], work[0, 1], work[0, 2])
        for k in range(3):
            if (number >> k) & 1:
                continue
            _corner(work[1], number | (1 << k), c, a, half)
            if (work[0, 2] < near) != (work[1, 2] < near):
                share = (near - work[0, 2]) / (work[1, 2] - work[0, 2])
                x = work[0, 0] + share * (work[1, 0] - work[0, 0])
                _widen(box, x, work[0, 1] + share * (work[1, 1] - work[0, 1]), near)


@inlined
def _bounds(box: Doubles, kind: int, c: Doubles, a: Doubles, size: Doubles, near: float, work: Doubles) -> None:
    """Fill box (4,) with least u, greatest u, least v, greatest v of what can be seen of a geom."""
    box[0], box[1], box[2], box[3] = 1e9, -1e9, 1e9, -1e9
    reach, end = work[2], work[3]
    seen = False
    if kind in (SPHERE, ELLIPSOID):
        for k in range(3):
            reach[k] = size[k] if kind == ELLIPSOID else size[0]
        seen = _round_bounds(box, c, a, reach)
    elif kind in (CAPSULE, CYLINDER):
        seen = True
        for sign in range(-1, 2, 2):
            for k in range(3):
                end[k] = c[k] + sign * size[1] * a[2, k]
                reach[k] = size[0]
            reach[2] = size[0] if kind == CAPSULE else 0.0
            seen = seen and _round_bounds(box, end, a, reach)
    if seen:
        return
    for k in range(3):
        reach[k] = size[k]
    if kind == SPHERE:
        reach[1] = reach[2] = size[0]
    elif kind in (CAPSULE, CYLINDER):
        reach[1], reach[2] = size[0], size[1] + (size[0] if kind == CAPSULE else 0.0)
    _box_bounds(box, c, a, reach, near, work)


@inlined
def _turned(axes: Doubles, rotation: Doubles, eye: Doubles) -> None:
    """The columns of a geom's rotation (9,) as rows of axes (3, 3), in a camera's frame: right, up, forward."""
    for k in range(3):
        for side in range(3):
            total = 0.0
            for j in range(3):
                total += rotation[3 * j + k] * eye[3 * j + side]
            axes[k, side] = -total if side == 2 else total


@inlined
def _centred(centre: Doubles, position: Doubles, origin: Doubles, eye: Doubles) -> None:
    for side in range(3):
        total = 0.0
        for j in range(3):
            total += (position[j] - origin[j]) * eye[3 * j + side]
        centre[side] = -total if side == 2 else total


@inlined
def _pixels(least: float, greatest: float, number: int) -> tuple[int, int]:
    """First pixel and the one after the last whose centres can lie between two places; 0, 0 when there are none."""
    first = min(max(math.ceil(least - 0.501), 0.0), float(number))
    last = min(max(math.floor(greatest - 0.499), -1.0), float(number - 1))
    if last < first:
        return 0, 0
    return int(first), int(last) + 1


@inlined
def _describe(out: Floats, kind: int, c: Doubles, a: Doubles, size: Doubles) -> None:
    for side in range(3):
        out[side] = c[side]
        for k in range(3):
            out[3 + 3 * k + side] = a[k, side]
        out[12 + side] = size[side]
    if kind == PLANE:
        out[12] = size[0] if size[0] > 0.0 else 1e9
        out[13] = size[1] if size[1] > 0.0 else 1e9


@compiled
def project(first: int, last: int, scenes: Scenes, eyes: Eyes, height: int, width: int, out: Projection) -> None:
    """Fill the rows of `out` for worlds first to last - 1, pictures of height x width pixels."""
    box, centre, axes, work = np.empty(4), np.empty(3), np.empty((3, 3)), np.empty((4, 3))
    for world in range(first, last):
        origin, eye, lens = eyes.position[world], eyes.rotation[world], eyes.lens[world]
        scale = math.tan(math.radians(eyes.field[world]) / 2)
        left, top = lens[0] * scale, lens[1] * scale
        across, down = width / (lens[2] * scale), height / (lens[3] * scale)
        for geom in range(scenes.start[world, 0], scenes.start[world + 1, 0]):
            kind = scenes.kind[geom]
            out.rectangle[geom, :] = 0
            if not scenes.drawn[min(max(scenes.group[geom], 0), 5)] or scenes.rgba[geom, 3] == 0.0:
                continue
            _centred(centre, scenes.position[geom], origin, eye)
            _turned(axes, scenes.rotation[geom], eye)
            _describe(out.shape[geom], kind, centre, axes, scenes.size[geom])
            if kind == PLANE:
                box[0], box[1], box[2], box[3] = -1e6, 1e6, -1e6, 1e6
            else:
                _bounds(box, kind, centre, axes, scenes.size[geom], lens[4], work)
            rows = _pixels((top - box[3]) * down, (top - box[2]) * down, height)
            columns = _pixels((box[0] - left) * across, (box[1] - left) * across, width)
            out.rectangle[geom, 0], out.rectangle[geom, 1] = rows
            out.rectangle[geom, 2], out.rectangle[geom, 3] = columns
