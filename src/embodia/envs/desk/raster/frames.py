"""Pictures of one world or of many: `Raster` and `RasterBatch`.

Both run the same compiled code with the same arithmetic, so a world looks the same to the byte drawn alone, in any
batch and on any number of threads. The one thing to watch: poses are read from the data as they are; after `qpos` was
written, call `mj_kinematics` and `mj_camlight` (or `mj_forward`) before drawing.
"""

from __future__ import annotations

import weakref
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from embodia.core.errors import ConfigError
from embodia.core.names import unknown
from embodia.envs.desk.raster.cameras import Camera
from embodia.envs.desk.raster.copying import addresses, copy_bytes
from embodia.envs.desk.raster.kernel import draw
from embodia.envs.desk.raster.project import project
from embodia.envs.desk.raster.reading import DRAWN_GROUPS, Labels, Reader
from embodia.envs.desk.raster.tables import Array, Eyes, Pictures, Projection, Scenes
from embodia.envs.drawing import fit
from embodia.envs.protocol import CameraView


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One upright picture: rgb uint8 (H W 3), depth float32 (H W) metres, segmentation int32 (H W).

    Depth is measured along the optical axis, 0 where nothing is; segmentation holds geom or body ids, -1 where
    nothing is. In a batch each array has the worlds as its first axis.
    """

    rgb: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]
    segmentation: npt.NDArray[np.int32]


class Raster:
    """Draws one model of primitives from several views; the fast counterpart of `Painter`.

    labels: what segmentation holds, "geom" or "body" ids. groups: geom groups that are drawn. Raises `ConfigError` for
    a geom that is no primitive or a camera with parallel rays, `UnknownNameError` for a camera that the model lacks.
    """

    def __init__(
        self,
        model: Any,
        views: tuple[CameraView, ...],
        labels: Labels = "geom",
        groups: Collection[int] = DRAWN_GROUPS,
    ) -> None:
        self._reader = Reader(model, labels, groups)
        self._cameras = [Camera(model, view) for view in views]
        self._seen = _projection(model.ngeom)
        self._world: _World | None = None

    def draw(self, data: Any) -> dict[str, Frame]:
        """One frame for each view of the scene in `data` as it is now."""
        world = self._bound(data)
        world.scenes.head[0] = self._reader.headlight
        pairs = zip(self._cameras, world.eyes, strict=True)
        return {camera.view.name: self._draw(world.scenes, eyes, camera.view) for camera, eyes in pairs}

    def eye(self, data: Any, view: str) -> Eyes:
        """Where the camera of a view is now, for `points_from_depth`. Raises `UnknownNameError`."""
        names = [camera.view.name for camera in self._cameras]
        if view not in names:
            raise unknown("view", view, names)
        return self._bound(data).eyes[names.index(view)]

    def _bound(self, data: Any) -> _World:
        if self._world is None or self._world.data is not data:
            self._world = _World(self._reader, self._cameras, data)
        return self._world

    def _draw(self, scenes: Scenes, eyes: Eyes, view: CameraView) -> Frame:
        height, width = view.drawn
        out = _pictures(1, height, width)
        project(0, 1, scenes, eyes, height, width, self._seen)
        draw(0, 1, scenes, eyes, self._seen, out)
        return _fitted(Frame(rgb=out.rgb[0], depth=out.depth[0], segmentation=out.segmentation[0]), view)


class RasterBatch:
    """Draws many worlds, which may all differ, on threads.

    models, datas: one of each a world (the same model may appear often). views: the cameras, equal for all worlds.
    threads: how many draw at a time. Errors as `Raster`; `ConfigError` too when a view is cut or averaged, which a
    batch does not do.
    """

    def __init__(
        self,
        models: Sequence[Any],
        datas: Sequence[Any],
        views: tuple[CameraView, ...],
        labels: Labels = "geom",
        groups: Collection[int] = DRAWN_GROUPS,
        threads: int = 2,
    ) -> None:
        if len(models) != len(datas) or not models:
            raise ConfigError(f"{len(models)} models for {len(datas)} data", leaf="models")
        for view in views:
            if view.render is not None:
                raise ConfigError("a batch draws pictures at their final size", leaf=view.name)
        self._views, self._labels, self._groups = views, labels, frozenset(groups)
        kept = {key: self._plan(model) for key, model in {id(model): model for model in models}.items()}
        self._worlds = [_World(*kept[id(model)], data) for model, data in zip(models, datas, strict=True)]
        self._join()
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads)
        self._finish = weakref.finalize(self, self._pool.shutdown, wait=False)

    def draw(self, out: dict[str, Frame] | None = None) -> dict[str, Frame]:
        """One frame (W H W' ...) a view of all worlds as they are now, into `out` when given (as returned before).

        Raises `ConfigError` when `out` has arrays of another kind.
        """
        result = out or {view.name: _empty(len(self._worlds), view) for view in self._views}
        for view in self._views:
            _check(result[view.name], (len(self._worlds), view.height, view.width))
        bounds = np.linspace(0, len(self._worlds), min(4 * self._threads, len(self._worlds)) + 1).astype(int)
        parts = [(int(a), int(b)) for a, b in pairwise(bounds)]
        if self._threads == 1:
            self._part((0, len(self._worlds)), result)
        else:
            list(self._pool.map(lambda part: self._part(part, result), parts))
        return result

    def replace(self, number: int, model: Any, data: Any) -> None:
        """Put another world into one place of the batch; quick when it has as many geoms, materials and lights."""
        before, world = self._worlds[number].scenes.start, _World(*self._plan(model), data)
        self._worlds[number] = world
        if (world.scenes.start == before).all():
            self._fill(number)
        else:
            self._join()

    def close(self) -> None:
        """End the threads; may be called twice."""
        self._finish()

    def _plan(self, model: Any) -> tuple[Reader, list[Camera]]:
        return Reader(model, self._labels, self._groups), [Camera(model, view) for view in self._views]

    def _join(self) -> None:
        """Tables for all worlds, end to end."""
        self._scenes = _joined([world.scenes for world in self._worlds])
        columns = zip(*(world.eyes for world in self._worlds), strict=True)
        self._eyes = [_joined_eyes(list(column)) for column in columns]
        self._copies = np.array([self._copies_of(number) for number in range(len(self._worlds))], np.int64)
        self._seen = _projection(len(self._scenes.kind))

    def _fill(self, number: int) -> None:
        """One world's rows of the tables."""
        source, start = self._worlds[number].scenes, self._scenes.start
        for name, column in {**_COLUMNS, **_CONSTANT}.items():
            getattr(self._scenes, name)[start[number, column] : start[number + 1, column]] = getattr(source, name)
        self._scenes.sky[number] = source.sky[0]
        self._copies[number] = self._copies_of(number)

    def _part(self, part: tuple[int, int], result: dict[str, Frame]) -> None:
        first, last = part
        copy_bytes(first, last, self._copies)
        for view, eyes in zip(self._views, self._eyes, strict=True):
            frame = result[view.name]
            pictures = Pictures(frame.rgb, frame.depth, frame.segmentation)
            project(first, last, self._scenes, eyes, view.height, view.width, self._seen)
            draw(first, last, self._scenes, eyes, self._seen, pictures)

    def _copies_of(self, number: int) -> list[tuple[int, int, int]]:
        """What `copy_bytes` shall bring from one world's memory into the joined tables."""
        pairs: list[tuple[Array, Array]] = []
        world, start = self._worlds[number], self._scenes.start
        for name, column in _COLUMNS.items():
            rows = slice(start[number, column], start[number + 1, column])
            pairs.append((getattr(self._scenes, name)[rows], getattr(world.scenes, name)))
        pairs += zip(self._scenes.head[number], world.reader.headlight, strict=True)
        for whole, mine in zip(self._eyes, world.eyes, strict=True):
            pairs += [(part[number : number + 1], one) for part, one in zip(whole, mine, strict=True)]
        return [addresses(target, origin) for target, origin in pairs]


_COLUMNS = {
    **dict.fromkeys(("group", "material", "size", "position", "rotation", "rgba"), 0),
    "paint": 1,
    **dict.fromkeys(("place", "direction", "ambient", "diffuse", "lit"), 2),
}
"""Tables that are read at every picture, by the column of `start` that counts their rows."""
_CONSTANT = {"kind": 0, "label": 0, "parallel": 2}
"""Tables that stay as long as a world."""


class _World:
    """One world's tables and eyes; they point into `data`, which is held."""

    def __init__(self, reader: Reader, cameras: list[Camera], data: Any) -> None:
        self.reader, self.data = reader, data
        self.scenes = reader.at(data)
        self.eyes = [camera.at(data) for camera in cameras]


def _joined(parts: list[Scenes]) -> Scenes:
    """Tables of many worlds, copied end to end."""
    steps = np.array([part.start[1] for part in parts], np.int32)
    start = np.concatenate([np.zeros((1, 3), np.int32), np.cumsum(steps, axis=0, dtype=np.int32)])
    fields = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in Scenes._fields
        if name not in ("start", "drawn")
    }
    return Scenes(start=start, drawn=parts[0].drawn, **fields)


def _joined_eyes(parts: list[Eyes]) -> Eyes:
    return Eyes(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _projection(geoms: int) -> Projection:
    return Projection(np.zeros((geoms, 16), np.float32), np.zeros((geoms, 4), np.int32))


def _pictures(worlds: int, height: int, width: int) -> Pictures:
    return Pictures(
        np.empty((worlds, height, width, 3), np.uint8),
        np.empty((worlds, height, width), np.float32),
        np.empty((worlds, height, width), np.int32),
    )


def _empty(worlds: int, view: CameraView) -> Frame:
    out = _pictures(worlds, view.height, view.width)
    return Frame(rgb=out.rgb, depth=out.depth, segmentation=out.segmentation)


def _check(frame: Frame, shape: tuple[int, int, int]) -> None:
    _alike(frame.rgb, (*shape, 3), np.uint8)
    _alike(frame.depth, shape, np.float32)
    _alike(frame.segmentation, shape, np.int32)


def _alike(array: Array, shape: tuple[int, ...], kind: type) -> None:
    flags = array.flags
    if array.shape != shape or array.dtype != kind or not (flags.c_contiguous and flags.writeable):
        raise ConfigError(f"cannot draw {kind.__name__} {shape} into {array.dtype} {array.shape}", leaf="out")


def _fitted(frame: Frame, view: CameraView) -> Frame:
    """A drawing cut or averaged to the view's size; depth and segmentation of a block are those of its middle pixel."""
    if view.render is None:
        return frame
    if view.crop is not None:
        top, left = view.crop
        window = (slice(top, top + view.height), slice(left, left + view.width))
    else:
        rows, columns = view.drawn[0] // view.height, view.drawn[1] // view.width
        window = (slice(rows // 2, None, rows), slice(columns // 2, None, columns))
    depth, segmentation = (np.ascontiguousarray(whole[window]) for whole in (frame.depth, frame.segmentation))
    return Frame(rgb=fit(frame.rgb, view), depth=depth, segmentation=segmentation)


__all__ = ["Frame", "Raster", "RasterBatch"]
