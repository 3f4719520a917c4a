"""A MuJoCo model as tables of the renderer: views of the simulator's own memory, nothing is copied.

Sizes, colours and lights are read at every picture, so a model whose values are changed in place is drawn as it is now.
The one thing to watch: a geom that is not a primitive (mesh, height field) is refused and not left out in silence.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

import numpy as np

from embodia.core.errors import ConfigError
from embodia.envs.desk.raster.tables import KINDS, Array, Floats, Scenes

Labels = Literal["geom", "body"]

DRAWN_GROUPS = (0, 1, 2)
"""The geom groups that MuJoCo draws unless told otherwise."""
_WALLS = [0, 1, 4, 5]
"""Faces of a sky that are neither its top nor its bottom."""


class Reader:
    """How worlds of one model are read.

    labels: "geom" or "body" ids. groups: the geom groups to draw. Raises `ConfigError` for a geom that is no primitive.
    """

    def __init__(self, model: Any, labels: Labels = "geom", groups: Collection[int] = DRAWN_GROUPS) -> None:
        self._model = model
        self._drawn = np.array([group in groups for group in range(6)])
        _check(model, self._drawn)
        self._label = np.arange(model.ngeom, dtype=np.int32) if labels == "geom" else model.geom_bodyid
        self._start = np.array([[0, 0, 0], [model.ngeom, model.nmat, model.nlight]], np.int32)
        self._parallel, self._sky = _parallel(model), backdrop(model)[None]
        self.headlight = (model.vis.headlight.ambient, model.vis.headlight.diffuse)
        if not model.vis.headlight.active:
            self.headlight = (np.zeros(3, np.float32), np.zeros(3, np.float32))

    def at(self, data: Any) -> Scenes:
        """One world as tables, views of the simulator's memory; only `head` has to be filled from `headlight`."""
        model = self._model
        return Scenes(
            start=self._start,
            kind=model.geom_type,
            group=model.geom_group,
            material=model.geom_matid,
            label=self._label,
            size=model.geom_size,
            position=data.geom_xpos,
            rotation=data.geom_xmat,
            rgba=model.geom_rgba,
            paint=model.mat_rgba,
            place=data.light_xpos,
            direction=data.light_xdir,
            ambient=model.light_ambient,
            diffuse=model.light_diffuse,
            lit=model.light_active,
            parallel=self._parallel,
            head=np.zeros((1, 2, 3), np.float32),
            sky=self._sky,
            drawn=self._drawn,
        )


def _check(model: Any, drawn: Array) -> None:
    shown = drawn[np.clip(model.geom_group, 0, 5)] & (model.geom_rgba[:, 3] > 0) & ~np.isin(model.geom_type, KINDS)
    for geom in np.flatnonzero(shown):
        raise ConfigError(
            f"geom {geom} is no primitive and cannot be drawn by the fast renderer",
            leaf=model.geom(int(geom)).name,
            cure="Draw it under the profile `faithful`, or give it a group that is not drawn",
        )


def backdrop(model: Any) -> Floats:
    """Colour (3,) behind everything: the mean of the walls of the model's sky, black when it has none."""
    import mujoco

    for texture in range(model.ntex):
        if model.tex_type[texture] == mujoco.mjtTexture.mjTEXTURE_SKYBOX:
            first, channels = int(model.tex_adr[texture]), int(model.tex_nchannel[texture])
            count = int(model.tex_height[texture] * model.tex_width[texture])
            levels = model.tex_data[first : first + count * channels].reshape(count, channels)
            faces = levels[:, :3].reshape(6, -1, 3)[_WALLS] if count % 6 == 0 else levels[:, :3]
            return (faces.reshape(-1, 3).mean(axis=0) / 255).astype(np.float32)
    return np.zeros(3, np.float32)


def _parallel(model: Any) -> Array:
    """Which lights have parallel rays; the name of the field differs between versions of MuJoCo."""
    if hasattr(model, "light_directional"):
        return model.light_directional
    return model.light_type
