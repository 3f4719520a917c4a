"""The pictures of a data set: from the cache where they are, decoded once and cached where they are not.

Threads may share one store. Watch out: without a budget for the cache every sample is decoded again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embodia.core.errors import CorruptFileError, DataError, MissingFileError
from embodia.data import layout
from embodia.data.cache import FrameCache, MappedFrames
from embodia.data.rows import EpisodeRow, Span
from embodia.io.frame_index import FrameIndex
from embodia.io.video import Frames, Video, scan

DEFAULT_CACHE_BYTES = 16 << 30
_VIDEOS_KEPT = 32


class FrameStore:
    """Frames by camera, episode and position; `shapes` gives (H, W) of each camera."""

    def __init__(
        self, root: Path, rows: Sequence[EpisodeRow], shapes: dict[str, tuple[int, int]], cache_bytes: int
    ) -> None:
        self._root, self._rows, self._shapes = root, rows, shapes
        self._cache = FrameCache(root, cache_bytes)
        self._mapped: dict[tuple[str, int], MappedFrames] = {}
        self._indices: dict[Path, FrameIndex] = {}
        self._full = self._uncached = cache_bytes <= 0
        self._open = threading.local()

    def gather(self, camera: str, episodes: NDArray[np.int64], positions: NDArray[np.int64]) -> Frames:
        """uint8 (B T H W 3) for `episodes` (B,) and frame `positions` (B, T) inside them.

        Raises `MissingFileError` or `CorruptFileError` naming the video.
        """
        out = np.empty((*positions.shape, *self._shapes[camera], 3), dtype=np.uint8)
        order = np.argsort(episodes, kind="stable")
        cached: list[tuple[MappedFrames, NDArray[np.int64]]] = []
        for group in np.split(order, np.flatnonzero(np.diff(episodes[order])) + 1) if len(order) else []:
            episode = int(episodes[group[0]])
            frames = self._frames(camera, episode)
            if frames is None:
                self._decode(camera, episode, group, positions, out)
                continue
            cached.append((frames, group))
            for position in positions[group].flat:
                frames.request(int(position))
        for frames, group in cached:
            for place in group:
                for moment, position in enumerate(positions[place]):
                    out[place, moment] = frames.array[position]
        return out

    def episode(self, camera: str, episode: int) -> Frames:
        """All frames of an episode (N H W 3)."""
        frames = self._frames(camera, episode)
        if frames is None:
            return self._read(camera, episode, None)
        frames.request(0, len(frames.array))
        return frames.array

    def index(self, path: Path) -> FrameIndex:
        """The frame index of a video (relative to the root): stored beside it, or scanned and then remembered."""
        found = self._indices.get(path)
        if found is None:
            found = load_index(self._root / path)
            self._indices[path] = found
        return found

    def _frames(self, camera: str, episode: int) -> MappedFrames | None:
        known = self._mapped.get((camera, episode))
        if known is not None or self._uncached:
            return known
        row, span = self._rows[episode], self._span(camera, episode)
        try:
            key = self._cache.key(row, span)
        except OSError as error:
            raise MissingFileError("video does not exist", file=self._root / span.path) from error
        shape = (row.length, *self._shapes[camera], 3)
        found = self._cache.get(key, shape)
        if found is None and not self._full:
            self._full = not self._cache.put(key, self._read(camera, episode, None))
            found = self._cache.get(key, shape)
        if found is not None:
            self._mapped[(camera, episode)] = found
        return found

    def _decode(
        self, camera: str, episode: int, group: NDArray[np.int64], positions: NDArray[np.int64], out: Frames
    ) -> None:
        wanted = positions[group]
        frames = self._read(camera, episode, wanted.ravel())
        out[group] = frames.reshape(*wanted.shape, *frames.shape[1:])

    def _read(self, camera: str, episode: int, positions: NDArray[np.int64] | None) -> Frames:
        row, span = self._rows[episode], self._span(camera, episode)
        index = self.index(span.path)
        offset = first_frame(index, span)
        path = self._root / span.path
        if offset + row.length > len(index):
            raise CorruptFileError(
                f"has {len(index)} frames, episode {episode} needs {offset}..{offset + row.length}", file=path
            )
        if (index.height, index.width) != self._shapes[camera]:
            raise CorruptFileError(
                f"is {index.height} x {index.width}, the set says {self._shapes[camera]}", file=path, leaf=camera
            )
        chosen = np.arange(row.length) if positions is None else positions
        return self._video(path, index).frames(chosen + offset)

    def _video(self, path: Path, index: FrameIndex) -> Video:
        """This thread's decoder of that file; the files that were used last are kept."""
        kept: OrderedDict[Path, Video] = self._open.__dict__.setdefault("videos", OrderedDict())
        if path not in kept:
            kept[path] = Video(path, index)
            if len(kept) > _VIDEOS_KEPT:
                kept.popitem(last=False)
        kept.move_to_end(path)
        return kept[path]

    def _span(self, camera: str, episode: int) -> Span:
        return self._rows[episode].videos[layout.image_key(camera)]


def load_index(video: Path) -> FrameIndex:
    """The index beside a video if it is there and belongs to it, else one scanned from the video."""
    try:
        size = video.stat().st_size
    except FileNotFoundError as error:
        raise MissingFileError("video does not exist", file=video) from error
    try:
        found = FrameIndex.load(layout.index_path(video))
    except DataError:
        return scan(video)
    return found if found.file_bytes == size else scan(video)


def first_frame(index: FrameIndex, span: Span) -> int:
    """The position in a video at which an episode starts."""
    return int(np.abs(index.times_s - span.start_s).argmin())
