"""Decoded frames on disk, memory-mapped: training touches a video at most once.

One file per episode and camera holds raw uint8 and ends in its key; the key is a digest of the video's checksum (or,
for sets recorded elsewhere, path, size and time), of the span inside it and of the decoder's version, and it is the
file's name too. So a stale or half-written file cannot be read: it has another name, size or ending. Deleting the
folder is always safe.
"""

from __future__ import annotations

import hashlib
import mmap
import threading
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from embodia.core.errors import StorageError
from embodia.data import layout
from embodia.data.rows import EpisodeRow, Span
from embodia.io.atomic import write_bytes
from embodia.io.video import Frames

_DIGEST_BYTES = 20
_ADVICE = hasattr(mmap, "MADV_RANDOM") and hasattr(mmap, "MADV_WILLNEED")


class MappedFrames:
    """An episode's frames (N H W 3), read-only and mapped: only what is touched is read from disk.

    The system knows that touches are scattered (`FrameCache.get`), so ask with `request` before reading: without it
    every page of a frame is a wait of its own.
    """

    def __init__(self, mapped: mmap.mmap, shape: tuple[int, int, int, int]) -> None:
        self.array: Frames = np.frombuffer(mapped, np.uint8, count=int(np.prod(shape))).reshape(shape)
        self._mapped, self._frame_bytes = mapped, int(np.prod(shape[1:]))

    def request(self, first: int, count: int = 1) -> None:
        """Have the system fetch frames `first`... now; it does so while other things are done."""
        if _ADVICE:
            start = first * self._frame_bytes
            page = start - start % mmap.PAGESIZE
            self._mapped.madvise(mmap.MADV_WILLNEED, page, start + count * self._frame_bytes - page)


class FrameCache:
    """The cache of one data set; at most `budget_bytes` on disk, beyond it nothing new is stored."""

    def __init__(self, root: Path, budget_bytes: int) -> None:
        self._root, self._folder = root, root / layout.CACHE
        self._budget_bytes = budget_bytes
        self._used_bytes: int | None = None
        self._lock = threading.Lock()

    def key(self, row: EpisodeRow, span: Span) -> bytes:
        """The digest that names the decoded frames of this part of this video, as its bytes are now."""
        if span.sha256:
            identity = span.sha256
        else:
            facts = (self._root / span.path).stat()
            identity = f"{span.path.as_posix()}:{facts.st_size}:{facts.st_mtime_ns}"
        text = f"1:{identity}:{span.start_s!r}:{row.length}:{av.__version__}"
        return hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest()

    def get(self, key: bytes, shape: tuple[int, int, int, int]) -> MappedFrames | None:
        """The frames of `shape` (N H W 3), or None when they are not there."""
        try:
            with self._path(key).open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):
            return None
        if _ADVICE:
            mapped.madvise(mmap.MADV_RANDOM)  # else the system reads megabytes around the first touch
        size = int(np.prod(shape))
        if len(mapped) != size + _DIGEST_BYTES or mapped[size:] != key:
            return None
        return MappedFrames(mapped, shape)

    def put(self, key: bytes, frames: NDArray[np.uint8]) -> bool:
        """Store frames; False when the budget or the disk has no room (decoding goes on without the cache)."""
        size = frames.nbytes + _DIGEST_BYTES
        with self._lock:
            if self._used_bytes is None:
                self._used_bytes = sum(path.stat().st_size for path in self._folder.glob("*/*.u8"))
            if self._used_bytes + size > self._budget_bytes:
                return False
            self._used_bytes += size
        try:
            write_bytes(self._path(key), np.ascontiguousarray(frames).tobytes() + key, durable=False)
        except StorageError:
            with self._lock:
                self._budget_bytes = 0
            return False
        return True

    def _path(self, key: bytes) -> Path:
        name = key.hex()
        return self._folder / name[:2] / f"{name}.u8"
