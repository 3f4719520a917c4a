"""Drawing MuJoCo scenes off screen, under a visual profile, cut and averaged to the size of a `CameraView`.

A software rasteriser spends its time on vertices, most of them in parts of the robot that no camera sees: where no
shadow or reflection can show them, bodies outside the view are left out, which changes no pixel and saves time.
The one thing to watch: multisampling and shadow maps are fixed when the graphics context is made, so a painter belongs
to one profile, and the model's own settings are put back once the context exists.
"""

from __future__ import annotations

import atexit
import ctypes.util
import os
import sys
import weakref
from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from embodia.core.errors import EnvironmentFailure
from embodia.core.names import unknown
from embodia.envs.coarse_meshes import coarse
from embodia.envs.profiles import VisualProfile
from embodia.envs.protocol import CameraView

Image = npt.NDArray[np.uint8]

PACKAGES = "libegl1 libegl-mesa0 libgl1-mesa-dri libosmesa6"
_HIDDEN_GROUP = 5
"""A geom group that MuJoCo does not draw unless told to."""
_LIBRARIES = (("egl", "EGL"), ("osmesa", "OSMesa"))


def choose_opengl() -> None:
    """Choose an off-screen OpenGL library before MuJoCo is imported, unless `MUJOCO_GL` already names one.

    Does nothing where MuJoCo brings its own (macOS, Windows) or where no library is found: physics needs none, and
    `Painter` says what is missing when a picture is wanted.
    """
    if sys.platform != "linux" or os.environ.get("MUJOCO_GL"):
        return
    for name, library in _LIBRARIES:
        if ctypes.util.find_library(library):
            os.environ["MUJOCO_GL"] = name
            return


def missing_opengl(reason: object) -> EnvironmentFailure:
    """The one line that says what to install."""
    return EnvironmentFailure(
        f"no off-screen OpenGL: {reason}", cure=f"On Debian or Ubuntu: apt-get install -y {PACKAGES}"
    )


class Painter:
    """Draws one model's scene from several views.

    `rotated` names the benchmark's own cameras that draw upside down (turned by 180 degrees); their pictures are turned
    upright. `hidden` are geom groups that the benchmark does not draw (collision shapes). Contexts left open are freed
    at exit, before OpenGL itself ends. Raises `EnvironmentFailure` when no OpenGL library can be used,
    `UnknownNameError` for a camera that the model lacks.
    """

    def __init__(
        self,
        model: Any,
        views: tuple[CameraView, ...],
        profile: VisualProfile,
        rotated: Collection[str] = (),
        hidden: Collection[int] = (),
    ) -> None:
        self._model = model
        self._views = views
        self._profile = profile
        self._rotated = frozenset(rotated)
        self._option = _scene_option(hidden)
        self._cameras = {view.name: _camera(model, view) for view in views}
        self._renderers: dict[tuple[int, int], Any] = {}
        for size in sorted({view.drawn for view in views}):
            self._renderers[size] = _renderer(model, size, profile)
        self._finish = weakref.finalize(self, _free, self._renderers)
        atexit.register(self._finish)

    def draw(self, data: Any) -> dict[str, Image]:
        """One upright uint8 picture (H W 3) for each view, of the scene in `data` as it is now."""
        return {view.name: self._draw(view, data) for view in self._views}

    def close(self) -> None:
        """Free the graphics contexts."""
        self._finish()
        atexit.unregister(self._finish)

    def _draw(self, view: CameraView, data: Any) -> Image:
        renderer = self._renderers[view.drawn]
        self._update(renderer, data, self._cameras[view.name])
        _set_flags(renderer.scene, self._profile)
        image: Image = renderer.render()
        if view.lookat_m is None and (view.source or view.name) in self._rotated:
            image = image[::-1, ::-1]
        return fit(image, view)

    def _update(self, renderer: Any, data: Any, camera: Any) -> None:
        renderer.update_scene(data, camera=camera, scene_option=self._option)
        if self._profile.shadows or self._profile.reflections:
            return
        unseen = outside(self._model, data, renderer.scene.camera[0], renderer.width / renderer.height)
        kept = self._model.geom_group.copy()
        self._model.geom_group[unseen] = _HIDDEN_GROUP
        try:
            renderer.update_scene(data, camera=camera, scene_option=self._option)
        finally:
            self._model.geom_group[:] = kept


def outside(model: Any, data: Any, camera: Any, aspect: float) -> npt.NDArray[np.bool_]:
    """Which geoms (G,) lie wholly outside the pyramid of a scene's camera, judged by their bounding spheres.

    `aspect` is width / height of the drawing; it gives the pyramid's width where the camera leaves it open.
    """
    forward, up = np.array(camera.forward), np.array(camera.up)
    right = np.cross(forward, up)
    offset = data.geom_xpos - np.array(camera.pos)
    depth, across, above = offset @ forward, offset @ right, offset @ up
    radius = model.geom_rbound
    near = camera.frustum_near
    half = camera.frustum_width or aspect * (camera.frustum_top - camera.frustum_bottom) / 2
    found = depth + radius < near
    for distance, low, high in (
        (across, camera.frustum_center - half, camera.frustum_center + half),
        (above, camera.frustum_bottom, camera.frustum_top),
    ):
        for side, edge in ((1.0, high), (-1.0, -low)):
            found |= (side * distance * near - edge * depth) > radius * np.hypot(near, edge)
    return found & (radius > 0)


def fit(image: Image, view: CameraView) -> Image:
    """A drawing (H' W' 3) cut or averaged to the view's size (H W 3), rounded to the nearest level."""
    if view.crop is not None:
        top, left = view.crop
        return np.ascontiguousarray(image[top : top + view.height, left : left + view.width])
    rows, columns = view.drawn[0] // view.height, view.drawn[1] // view.width
    if rows == columns == 1:
        return np.ascontiguousarray(image)
    blocks = image.reshape(view.height, rows, view.width, columns, 3).astype(np.uint32).sum(axis=(1, 3))
    return ((blocks + rows * columns // 2) // (rows * columns)).astype(np.uint8)


def _free(renderers: dict[tuple[int, int], Any]) -> None:
    for renderer in renderers.values():
        renderer.close()
    renderers.clear()


def _camera(model: Any, view: CameraView) -> Any:
    import mujoco

    if view.lookat_m is None:
        names = [model.camera(index).name for index in range(model.ncam)]
        source = view.source or view.name
        if source not in names:
            raise unknown("camera", source, names)
        return source
    camera = mujoco.MjvCamera()
    camera.lookat[:] = view.lookat_m
    camera.distance, camera.azimuth, camera.elevation = view.distance_m, view.azimuth_deg, view.elevation_deg
    return camera


def _scene_option(hidden: Collection[int]) -> Any:
    import mujoco

    option = mujoco.MjvOption()
    for group in hidden:
        option.geomgroup[group] = 0
    return option


def _renderer(model: Any, size: tuple[int, int], profile: VisualProfile) -> Any:
    import mujoco

    quality, screen = model.vis.quality, model.vis.global_
    kept = quality.offsamples, quality.shadowsize
    screen.offheight, screen.offwidth = max(screen.offheight, size[0]), max(screen.offwidth, size[1])
    if profile.multisamples is not None:
        quality.offsamples = profile.multisamples
    if profile.shadow_map_px is not None:
        quality.shadowsize = profile.shadow_map_px
    try:
        with coarse(model, profile.mesh_cell_m):
            return mujoco.Renderer(model, size[0], size[1])
    except (RuntimeError, ImportError, AttributeError, OSError, mujoco.FatalError) as error:
        raise missing_opengl(error) from error
    finally:
        quality.offsamples, quality.shadowsize = kept


def _set_flags(scene: Any, profile: VisualProfile) -> None:
    import mujoco

    if not profile.shadows:
        scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 0
    if not profile.reflections:
        scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0


__all__ = ["PACKAGES", "Painter", "choose_opengl", "fit", "missing_opengl"]
