"""The compiled inside of the renderer: rays against primitives, thirty-two pixels at a time.

Each geom becomes a short row of numbers in the camera's frame and a rectangle of tiles that it can touch. Each tile
then meets only the geoms of its rectangle; depth, normal and geom of its pixels live in one small buffer, so
the inner loops have no branches and become vector code. A ray is (u, v, 1): its parameter at a hit is the depth itself.
The one thing to watch: every number here is float32; a bare Python literal would turn a loop into float64.
Tiles are this file's alone: the cache of compiled code notices changes of a function's own file only.
"""

from __future__ import annotations

import math

import numpy as np

from embodia.envs.desk.raster.jit import compiled, inlined
from embodia.envs.desk.raster.tables import (
    BOX,
    CAPSULE,
    CYLINDER,
    PLANE,
    SPHERE,
    Eyes,
    Floats,
    Integers,
    Number,
    Pictures,
    Projection,
    Scenes,
)

TILE_WIDTH, TILE_HEIGHT = 8, 4
LANES = TILE_WIDTH * TILE_HEIGHT
"""Pixels that are worked on at a time."""
_Z, _X, _Y, _N, _GEOM, _RED, _GREEN, _BLUE = (LANES * channel for channel in range(8))
_BUFFER = LANES * 8
"""Floats of one tile: depth, normal (3), geom, light (3)."""
_ZERO, _ONE, _HALF, _TINY = np.float32(0), np.float32(1), np.float32(0.5), np.float32(1e-9)
_FAR = np.float32(1e9)
_LEVELS = np.float32(255)
_MASK, _SHIFT = TILE_WIDTH - 1, TILE_WIDTH.bit_length() - 1


@inlined
def _u(lane: int, u0: Number, du: Number) -> Number:
    return u0 + du * np.float32(lane & _MASK)


@inlined
def _v(lane: int, v0: Number, dv: Number) -> Number:
    return v0 + dv * np.float32(lane >> _SHIFT)


@inlined
def _safe(value: Number) -> Number:
    """A divisor that is never zero and keeps its sign."""
    return value if abs(value) > _TINY else _TINY


@inlined
def _root(value: Number) -> Number:
    return math.sqrt(max(value, _ZERO))


@inlined
def _keep(tile: Floats, lane: int, near: Number, t: Number, x: Number, y: Number, z: Number, geom: Number) -> None:
    """Take the hit at depth t with normal x, y, z where it is nearer than what the lane holds."""
    held = tile[_Z + lane]
    t = t if t > near else _FAR
    nearer = t < held
    tile[_Z + lane] = t if nearer else held
    tile[_X + lane] = x if nearer else tile[_X + lane]
    tile[_Y + lane] = y if nearer else tile[_Y + lane]
    tile[_N + lane] = z if nearer else tile[_N + lane]
    tile[_GEOM + lane] = geom if nearer else tile[_GEOM + lane]


@inlined
def _plane(tile: Floats, u0: Number, v0: Number, du: Number, dv: Number, near: Number, g: Floats, geom: Number) -> None:
    cx, cy, cz, a0, a1, a2, b0, b1, b2 = g[0], g[1], g[2], g[3], g[4], g[5], g[6], g[7], g[8]
    n0, n1, n2, sx, sy = g[9], g[10], g[11], g[12], g[13]
    offset, a, b = cx * n0 + cy * n1 + cz * n2, cx * a0 + cy * a1 + cz * a2, cx * b0 + cy * b1 + cz * b2
    sign = -_ONE if offset > _ZERO else _ONE
    for lane in range(LANES):
        u, v = _u(lane, u0, du), _v(lane, v0, dv)
        t = offset / _safe(u * n0 + v * n1 + n2)
        t = t if abs(t * (u * a0 + v * a1 + a2) - a) <= sx else -_ONE
        t = t if abs(t * (u * b0 + v * b1 + b2) - b) <= sy else -_ONE
        _keep(tile, lane, near, t, sign * n0, sign * n1, sign * n2, geom)


@inlined
def _sphere(
    tile: Floats, u0: Number, v0: Number, du: Number, dv: Number, near: Number, g: Floats, geom: Number
) -> None:
    cx, cy, cz, r = g[0], g[1], g[2], g[12]
    inverse = _ONE / r
    for lane in range(LANES):
        u, v = _u(lane, u0, du), _v(lane, v0, dv)
        length = u * u + v * v + _ONE
        middle = (u * cx + v * cy + cz) / length
        x, y, z = cx - middle * u, cy - middle * v, cz - middle
        inside = r * r - (x * x + y * y + z * z)
        t = middle - _root(inside / length)
        t = t if inside > _ZERO else -_ONE
        _keep(tile, lane, near, t, (t * u - cx) * inverse, (t * v - cy) * inverse, (t - cz) * inverse, geom)


@inlined
def _ellipsoid(
    tile: Floats, u0: Number, v0: Number, du: Number, dv: Number, near: Number, g: Floats, geom: Number
) -> None:
    cx, cy, cz = g[0], g[1], g[2]
    i, j, k = _ONE / g[12], _ONE / g[13], _ONE / g[14]
    a0, a1, a2, b0, b1, b2 = g[3] * i, g[4] * i, g[5] * i, g[6] * j, g[7] * j, g[8] * j
    c0, c1, c2 = g[9] * k, g[10] * k, g[11] * k
    p, q, r = cx * a0 + cy * a1 + cz * a2, cx * b0 + cy * b1 + cz * b2, cx * c0 + cy * c1 + cz * c2
    for lane in range(LANES):
        u, v = _u(lane, u0, du), _v(lane, v0, dv)
        d, e, f = u * a0 + v * a1 + a2, u * b0 + v * b1 + b2, u * c0 + v * c1 + c2
        length = d * d + e * e + f * f
        middle = (d * p + e * q + f * r) / length
        x, y, z = p - middle * d, q - middle * e, r - middle * f
        inside = _ONE - (x * x + y * y + z * z)
        t = middle - _root(inside / length)
        t = t if inside > _ZERO else -_ONE
        d, e, f = t * d - p, t * e - q, t * f - r
        x, y, z = d * a0 + e * b0 + f * c0, d * a1 + e * b1 + f * c1, d * a2 + e * b2 + f * c2
        scale = _ONE / math.sqrt(x * x + y * y + z * z + _TINY)
        _keep(tile, lane, near, t, x * scale, y * scale, z * scale, geom)


@inlined
def _capsule(
    tile: Floats, u0: Number, v0: Number, du: Number, dv: Number, near: Number, g: Floats, geom: Number
) -> None:
    cx, cy, cz, wx, wy, wz, r, h = g[0], g[1], g[2], g[9], g[10], g[11], g[12], g[13]
    inverse, square, along = _ONE / r, r * r, cx * wx + cy * wy + cz * wz
    for lane in range(LANES):
        u, v = _u(lane, u0, du), _v(lane, v0, dv)
        length, aim, rate = u * u + v * v + _ONE, u * cx + v * cy + cz, u * wx + v * wy + wz
        across = max(length - rate * rate, _TINY)
        middle = (aim - rate * along) / across
        lift = along - middle * rate
        x, y, z = cx - middle * u - lift * wx, cy - middle * v - lift * wy, cz - middle - lift * wz
        inside = square - (x * x + y * y + z * z)
        side = middle - _root(inside / across)
        place = side * rate - along
        end = h if place > _ZERO else -h
        cap_middle = (aim + end * rate) / length
        ex, ey, ez = cx + end * wx - cap_middle * u, cy + end * wy - cap_middle * v, cz + end * wz - cap_middle
        cap_inside = square - (ex * ex + ey * ey + ez * ez)
        cap = cap_middle - _root(cap_inside / length)
        cap = cap if cap_inside > _ZERO else -_ONE
        t = side if abs(place) <= h else cap
        t = t if inside > _ZERO else -_ONE
        place = max(min(t * rate - along, h), -h)
        x, y, z = t * u - cx - place * wx, t * v - cy - place * wy, t - cz - place * wz
        _keep(tile, lane, near, t, x * inverse, y * inverse, z * inverse, geom)


@inlined
def _cylinder(
    tile: Floats, u0: Number, v0: Number, du: Number, dv: Number, near: Number, g: Floats, geom: Number
) -> None:
    cx, cy, cz, wx, wy, wz, r, h = g[0], g[1], g[2], g[9], g[10], g[11], g[12], g[13]
    inverse, square, along = _ONE / r, r * r, cx * wx + cy * wy + cz * wz
    for lane in range(LANES):
        u, v = _u(lane, u0, du), _v(lane, v0, dv)
        length, aim, rate = u * u + v * v + _ONE, u * cx + v * cy + cz, _safe(u * wx + v * wy + wz)
        across = max(length - rate * rate, _TINY)
        middle = (aim - rate * along) / across
        lift = along - middle * rate
        x, y, z = cx - middle * u - lift * wx, cy - middle * v - lift * wy, cz - middle - lift * wz
        inside = square - (x * x + y * y + z * z)
        half = _root(inside / across)
        one, two = (along - h) / rate, (along + h) / rate
        lid, side = min(one, two), middle - half
        t = max(lid, side)
        t = t if (t < min(max(one, two), middle + half)) else -_ONE
        t = t if inside > _ZERO else -_ONE
        turn = -_ONE if rate > _ZERO else _ONE
        place = t * rate - along
        x, y, z = (t * u - cx - place * wx), (t * v - cy - place * wy), (t - cz - place * wz)
        x = turn * wx if lid > side else x * inverse
        y = turn * wy if lid > side else y * inverse
        z = turn * wz if lid > side else z * inverse
        _keep(tile, lane, near, t, x, y, z, geom)


@inlined
def _box(tile: Floats, u0: Number, v0: Number, du: Number, dv: Number, near: Number, g: Floats, geom: Number) -> None:
    cx, cy, cz, a0, a1, a2, b0, b1, b2 = g[0], g[1], g[2], g[3], g[4], g[5], g[6], g[7], g[8]
    c0, c1, c2, sx, sy, sz = g[9], g[10], g[11], g[12], g[13], g[14]
    p, q, r = cx * a0 + cy * a1 + cz * a2, cx * b0 + cy * b1 + cz * b2, cx * c0 + cy * c1 + cz * c2
    for lane in range(LANES):
        u, v = _u(lane, u0, du), _v(lane, v0, dv)
        i, j = _ONE / _safe(u * a0 + v * a1 + a2), _ONE / _safe(u * b0 + v * b1 + b2)
        k = _ONE / _safe(u * c0 + v * c1 + c2)
        di, dj, dk = sx * abs(i), sy * abs(j), sz * abs(k)
        pi, qj, rk = p * i, q * j, r * k
        t = max(max(pi - di, qj - dj), rk - dk)
        leave = min(min(pi + di, qj + dj), rk + dk)
        first, second = t == pi - di, t == qj - dj
        x = a0 if first else (b0 if second else c0)
        y = a1 if first else (b1 if second else c1)
        z = a2 if first else (b2 if second else c2)
        turn = i if first else (j if second else k)
        turn = -_ONE if turn > _ZERO else _ONE
        t = t if t < leave else -_ONE
        _keep(tile, lane, near, t, x * turn, y * turn, z * turn, geom)


@inlined
def _hit(
    kind: int, tile: Floats, u0: Number, v0: Number, du: Number, dv: Number, near: Number, g: Floats, geom: Number
) -> None:
    if kind == CAPSULE:
        _capsule(tile, u0, v0, du, dv, near, g, geom)
    elif kind == BOX:
        _box(tile, u0, v0, du, dv, near, g, geom)
    elif kind == SPHERE:
        _sphere(tile, u0, v0, du, dv, near, g, geom)
    elif kind == CYLINDER:
        _cylinder(tile, u0, v0, du, dv, near, g, geom)
    elif kind == PLANE:
        _plane(tile, u0, v0, du, dv, near, g, geom)
    else:
        _ellipsoid(tile, u0, v0, du, dv, near, g, geom)


@inlined
def _light(tile: Floats, u0: Number, v0: Number, du: Number, dv: Number, lamp: Floats, parallel: bool) -> None:
    """Add one light: lamp holds its place or the direction towards it (3), ambient (3) and diffuse (3) colour."""
    px, py, pz = lamp[0], lamp[1], lamp[2]
    for lane in range(LANES):
        t = _ZERO if parallel else tile[_Z + lane]
        x, y, z = px - t * _u(lane, u0, du), py - t * _v(lane, v0, dv), pz - t
        aim = x * tile[_X + lane] + y * tile[_Y + lane] + z * tile[_N + lane]
        share = max(aim / math.sqrt(x * x + y * y + z * z + _TINY), _ZERO)
        tile[_RED + lane] += lamp[3] + share * lamp[6]
        tile[_GREEN + lane] += lamp[4] + share * lamp[7]
        tile[_BLUE + lane] += lamp[5] + share * lamp[8]


@inlined
def _lamps(out: Floats, world: int, scenes: Scenes, eyes: Eyes) -> int:
    """Lights of a world in its camera's frame; a negative tenth number marks parallel rays. Returns their number.

    The first is MuJoCo's headlight, whose rays are parallel to the camera's line of sight.
    """
    first, last = scenes.start[world, 2], scenes.start[world + 1, 2]
    out[0, 0], out[0, 1], out[0, 2], out[0, 9] = _ZERO, _ZERO, -_ONE, -_ONE
    for side in range(3):
        out[0, 3 + side], out[0, 6 + side] = scenes.head[world, 0, side], scenes.head[world, 1, side]
    number = 1
    for light in range(first, last):
        if not scenes.lit[light]:
            continue
        parallel = scenes.parallel[light]
        out[number, 9] = -_ONE if parallel else _ONE
        for side in range(3):
            total = 0.0
            for j in range(3):
                place = scenes.place[light, j] - eyes.position[world, j]
                total += (-scenes.direction[light, j] if parallel else place) * eyes.rotation[world, 3 * j + side]
            out[number, side] = -total if side == 2 else total
            out[number, 3 + side], out[number, 6 + side] = scenes.ambient[light, side], scenes.diffuse[light, side]
        number += 1
    return number


@inlined
def _paints(out: Floats, names: Integers, world: int, scenes: Scenes) -> None:
    """Colours in levels and labels of a world's geoms, row 0 for where nothing is."""
    start, materials = scenes.start[world, 0], scenes.start[world, 1]
    names[0] = -1
    for side in range(3):
        out[0, side] = _LEVELS * scenes.sky[world, side]
    for geom in range(start, scenes.start[world + 1, 0]):
        own = scenes.rgba[geom]
        plain = own[0] == _HALF and own[1] == _HALF and own[2] == _HALF and own[3] == _ONE
        material = scenes.material[geom]
        names[geom - start + 1] = scenes.label[geom]
        for side in range(3):
            colour = scenes.paint[materials + material, side] if plain and material >= 0 else own[side]
            out[geom - start + 1, side] = _LEVELS * colour


@inlined
def _tint(tile: Floats, lane: int, row: Number, paints: Floats) -> None:
    """Light times paint, in levels; where nothing is, the paint itself and depth 0."""
    lit = row > 0
    red = paints[row, 0] * (tile[_RED + lane] if lit else _ONE)
    green = paints[row, 1] * (tile[_GREEN + lane] if lit else _ONE)
    blue = paints[row, 2] * (tile[_BLUE + lane] if lit else _ONE)
    tile[_RED + lane] = min(red + _HALF, _LEVELS)
    tile[_GREEN + lane] = min(green + _HALF, _LEVELS)
    tile[_BLUE + lane] = min(blue + _HALF, _LEVELS)
    tile[_Z + lane] = tile[_Z + lane] if lit else _ZERO


@inlined
def _colour(tile: Floats, paints: Floats) -> None:
    """Tint every lane; most tiles show one geom only, and then its paint is looked up once."""
    only, others = tile[_GEOM], 0
    for lane in range(LANES):
        others += tile[_GEOM + lane] != only
    if others == 0:
        row = np.int32(only)
        for lane in range(LANES):
            _tint(tile, lane, row, paints)
    else:
        for lane in range(LANES):
            _tint(tile, lane, np.int32(tile[_GEOM + lane]), paints)


@inlined
def _write(tile: Floats, names: Integers, out: Pictures, world: int, row: int, column: int) -> None:
    """Copy a finished tile into the pictures, without what lies beyond their edges."""
    for line in range(min(TILE_HEIGHT, out.depth.shape[1] - row)):
        colours, depth = out.rgb[world, row + line], out.depth[world, row + line]
        segments = out.segmentation[world, row + line]
        for side in range(min(TILE_WIDTH, out.depth.shape[2] - column)):
            lane = line * TILE_WIDTH + side
            colours[column + side, 0] = np.uint8(tile[_RED + lane])
            colours[column + side, 1] = np.uint8(tile[_GREEN + lane])
            colours[column + side, 2] = np.uint8(tile[_BLUE + lane])
            depth[column + side] = tile[_Z + lane]
            segments[column + side] = names[int(tile[_GEOM + lane])]


@inlined
def _clear(tile: Floats, far: Number) -> None:
    for lane in range(LANES):
        tile[_Z + lane] = far
        tile[_GEOM + lane] = _ZERO
        tile[_RED + lane] = tile[_GREEN + lane] = tile[_BLUE + lane] = _ZERO


@inlined
def _active(out: Integers, row: int, first: int, last: int, rectangle: Integers) -> int:
    """Geoms whose rectangle meets the row of tiles that starts at a row of pixels; returns their number."""
    number = 0
    for geom in range(first, last):
        if rectangle[geom, 0] < row + TILE_HEIGHT and row < rectangle[geom, 1]:
            out[number] = geom
            number += 1
    return number


@compiled
def draw(first: int, last: int, scenes: Scenes, eyes: Eyes, seen: Projection, out: Pictures) -> None:
    """Draw the pictures of worlds first to last - 1, whose rows of `seen` are filled."""
    most = 1
    for world in range(first, last):
        most = max(most, scenes.start[world + 1, 0] - scenes.start[world, 0] + 1)
    height, width = out.depth.shape[1], out.depth.shape[2]
    tile, active, names = np.zeros(_BUFFER, np.float32), np.empty(most, np.int32), np.empty(most, np.int32)
    paints = np.empty((most, 4), np.float32)
    lamps = np.empty((scenes.lit.shape[0] + 1, 10), np.float32)
    for world in range(first, last):
        start, end, lens = scenes.start[world, 0], scenes.start[world + 1, 0], eyes.lens[world]
        scale = math.tan(math.radians(eyes.field[world]) / 2)
        left, top = np.float32(scale * lens[0]), np.float32(scale * lens[1])
        du, dv = np.float32(scale * lens[2] / width), np.float32(-scale * lens[3] / height)
        near, far = np.float32(lens[4]), np.float32(lens[5])
        lights = _lamps(lamps, world, scenes, eyes)
        _paints(paints, names, world, scenes)
        for row in range(0, height, TILE_HEIGHT):
            number = _active(active, row, start, end, seen.rectangle)
            v0 = top + dv * (np.float32(row) + _HALF)
            for column in range(0, width, TILE_WIDTH):
                u0 = left + du * (np.float32(column) + _HALF)
                _clear(tile, far)
                for place in range(number):
                    geom = active[place]
                    if seen.rectangle[geom, 2] < column + TILE_WIDTH and column < seen.rectangle[geom, 3]:
                        name = np.float32(geom - start + 1)
                        _hit(scenes.kind[geom], tile, u0, v0, du, dv, near, seen.shape[geom], name)
                for light in range(lights):
                    _light(tile, u0, v0, du, dv, lamps[light], lamps[light, 9] < _ZERO)
                _colour(tile, paints)
                _write(tile, names, out, world, row, column)
