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


class Source:
    """One world that can be drawn: a model, its data and what its segmentation says.

    labels: "geom" or "body" ids. groups: the geom groups to draw. Raises `ConfigError` for a geom that is no primitive.
    """

    def __init__(self, model: Any, data: Any, labels: Labels = "geom", groups: Collection[int] = DRAWN_GROUPS) -> None:
        self.model, self.data = model, data
        self.lights = (model.vis.headlight.ambient, model.vis.headlight.diffuse)
        if not model.vis.headlight.active:
            self.lights = (np.zeros(3, np.float32), np.zeros(3, np.float32))
        self.drawn = np.array([group in groups for group in range(6)])
        self._check()
        self.label = np.arange(model.ngeom, dtype=np.int32) if labels == "geom" else model.geom_bodyid
        self.head = np.zeros((1, 2, 3), np.float32)
        self.sky = backdrop(model)[None]
        start = np.array([[0, 0, 0], [model.ngeom, model.nmat, model.nlight]], np.int32)
        self.scenes = Scenes(
            start=start,
            kind=model.geom_type,
            group=model.geom_group,
            material=model.geom_matid,
            label=self.label,
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
            parallel=_parallel(model),
            head=self.head,
            sky=self.sky,
            drawn=self.drawn,
        )

    def update(self) -> None:
        """Read the headlight, which is no array of the model."""
        self.head[0, 0], self.head[0, 1] = self.lights

    def _check(self) -> None:
        model = self.model
        for geom in range(model.ngeom):
            shown = self.drawn[model.geom_group[geom]] and model.geom_rgba[geom, 3] > 0
            if shown and int(model.geom_type[geom]) not in KINDS:
                raise ConfigError(
                    f"geom {geom} is no primitive and cannot be drawn by the fast renderer",
                    leaf=model.geom(geom).name,
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
