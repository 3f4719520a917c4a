"""Meshes with fewer triangles, for drawing alone: a software rasteriser's time goes into corners, not into pixels.

All corners of a mesh that lie in one small cube move to their mean, and triangles that lose their area are left out
(vertex clustering: Rossignac and Borrel, "Multi-resolution 3D approximations for rendering complex scenes", 1993).
Normals and texture places stay those of the triangle's own corners. The one thing to watch: a graphics context copies
the model's meshes when it is made, so the model holds the coarse ones only for that moment; physics never sees them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

_PER_TRIANGLE = ("mesh_face", "mesh_facenormal", "mesh_facetexcoord")
_BITS = 21


def clustered(corners: Floats, triangles: Integers, cell: float) -> tuple[Floats, Integers]:
    """Corners (N 3) moved to the mean of their cube of edge `cell`, and the numbers of the triangles (F 3) kept."""
    places = np.floor((corners - corners.min(axis=0)) / cell).astype(np.int64)
    _, cluster, sizes = np.unique(_one_number(places), return_inverse=True, return_counts=True)
    means = np.stack([np.bincount(cluster, axis) for axis in corners.T.astype(np.float64)], axis=1) / sizes[:, None]
    used = cluster[triangles]
    whole = np.flatnonzero((used != np.roll(used, 1, axis=1)).all(axis=1))
    first = np.argmin(used[whole], axis=1)
    turned = np.take_along_axis(used[whole], (first[:, None] + np.arange(3)) % 3, axis=1)
    _, kept = np.unique(_one_number(turned), return_index=True)
    return means[cluster].astype(np.float32), whole[np.sort(kept)]


@contextlib.contextmanager
def coarse(model: Any, cell: float | None) -> Iterator[None]:
    """Let `model` hold meshes clustered by `cell` metres while a graphics context is made; None leaves them alone."""
    if cell is None:
        yield
        return
    names = ("mesh_vert", "mesh_facenum", *_PER_TRIANGLE)
    before = {name: getattr(model, name).copy() for name in names}
    try:
        for mesh in range(model.nmesh):
            _coarsen(model, mesh, cell)
        yield
    finally:
        for name, values in before.items():
            getattr(model, name)[:] = values


def _coarsen(model: Any, mesh: int, cell: float) -> None:
    corner, corners = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
    face, faces = model.mesh_faceadr[mesh], model.mesh_facenum[mesh]
    own = slice(face, face + faces)
    moved, kept = clustered(model.mesh_vert[corner : corner + corners], model.mesh_face[own].astype(np.int64), cell)
    if not len(kept):
        return
    model.mesh_vert[corner : corner + corners] = moved
    for name in _PER_TRIANGLE:
        values = getattr(model, name)
        values[face : face + len(kept)] = values[own][kept]
    model.mesh_facenum[mesh] = len(kept)


def _one_number(triples: Integers) -> Integers:
    """One number for each triple (N 3) of numbers below 2^21."""
    found: Integers = (triples[:, 0] << 2 * _BITS) | (triples[:, 1] << _BITS) | triples[:, 2]
    return found


__all__ = ["clustered", "coarse"]
