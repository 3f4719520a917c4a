"""Where the bytes of each frame of a video lie, so that any frame is read without opening or scanning the file.

Stored as JSON beside the video. It records the size of the video it belongs to, so that an index of another file is
refused.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodia.core.errors import CorruptFileError
from embodia.io.atomic import write_text
from embodia.io.jsonio import read_json

_TYPES = {"codec": str, "width": int, "height": int, "fps": float, "file_bytes": int, "time_base_s": float}
_ARRAYS = ("offset", "size", "key", "pts")
_LARGEST_SIDE = 16384


@dataclass(frozen=True, kw_only=True)
class FrameIndex:
    """Facts of one video stream and, per frame in order of decoding, byte offset, size, key flag and time stamp.

    `pts` counts ticks of `time_base_s` seconds; `extradata` is the decoder's header.
    """

    codec: str
    width: int
    height: int
    fps: float
    file_bytes: int
    time_base_s: float
    extradata: bytes
    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    key: NDArray[np.bool_]
    pts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pts)

    @cached_property
    def shown(self) -> NDArray[np.int64]:
        """Time stamps in order of display: frame i of the video is shown at tick `shown[i]`."""
        return np.sort(self.pts)

    @cached_property
    def times_s(self) -> NDArray[np.float64]:
        """Seconds at which each frame is shown."""
        return self.shown * self.time_base_s

    def runs(self, wanted: NDArray[np.int64]) -> Iterator[range]:
        """Decoding positions to go through to see the frames `wanted`: from a key frame to the last one needed."""
        position = self._position[np.unique(wanted)]
        group = self._group_start[position]
        for start in np.unique(group):
            yield range(int(start), int(position[group == start].max()) + 1)

    def span(self, wanted: NDArray[np.int64]) -> tuple[int, int]:
        """First and last + 1 byte of the file that `wanted` needs."""
        if not len(wanted):
            return 0, 0
        runs = [np.arange(run.start, run.stop) for run in self.runs(wanted)]
        needed = np.concatenate(runs)
        return int(self.offset[needed].min()), int((self.offset + self.size)[needed].max())

    def save(self, path: str | Path) -> None:
        """Write as JSON, without waiting for the disk: it can be computed again."""
        plain: dict[str, Any] = {name: getattr(self, name) for name in _TYPES}
        plain |= {name: getattr(self, name).astype(int).tolist() for name in _ARRAYS}
        plain["extradata"] = base64.b64encode(self.extradata).decode()
        _write_lines(path, plain)

    @classmethod
    def load(cls, path: str | Path) -> FrameIndex:
        """Read from JSON. Raises `MissingFileError`, or `CorruptFileError` naming the leaf."""
        plain = read_json(path)
        if not isinstance(plain, dict):
            raise CorruptFileError("is not a frame index", file=path)
        facts = {name: _fact(plain, name, kind, path) for name, kind in _TYPES.items()}
        arrays = {name: _array(plain, name, path) for name in _ARRAYS}
        found = cls(**facts, extradata=_extradata(plain, path), **arrays | {"key": arrays["key"].astype(bool)})
        found._check(path)
        return found

    def _check(self, path: str | Path) -> None:
        lengths = {len(getattr(self, name)) for name in _ARRAYS}
        inside = bool((self.offset >= 0).all() and (self.size > 0).all())
        if lengths == {0} or len(lengths) != 1 or not inside or not self.key[0]:
            raise CorruptFileError("frames of the index do not fit together", file=path)
        if (self.offset + self.size).max() > self.file_bytes:
            raise CorruptFileError("frames lie beyond the end of the video", file=path, leaf="offset")
        if not (0 < self.width <= _LARGEST_SIDE and 0 < self.height <= _LARGEST_SIDE):
            raise CorruptFileError(f"{self.width} x {self.height} pixels", file=path, leaf="width")

    @cached_property
    def _position(self) -> NDArray[np.int64]:
        return np.argsort(self.pts, kind="stable")

    @cached_property
    def _group_start(self) -> NDArray[np.int64]:
        return np.maximum.accumulate(np.where(self.key, np.arange(len(self.key)), 0))


def _write_lines(path: str | Path, plain: dict[str, Any]) -> None:
    lines = (f"{json.dumps(name)}: {json.dumps(plain[name], separators=(',', ':'))}" for name in sorted(plain))
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n", durable=False)


def _fact(plain: dict[str, Any], name: str, kind: type, path: str | Path) -> Any:
    value = plain.get(name)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise CorruptFileError(f"expected {kind.__name__}, got {value!r}", file=path, leaf=name)
    return value


def _array(plain: dict[str, Any], name: str, path: str | Path) -> NDArray[np.int64]:
    value = plain.get(name)
    if not isinstance(value, list) or not all(type(item) is int and abs(item) < 2**62 for item in value):
        raise CorruptFileError("expected a list of integers", file=path, leaf=name)
    return np.array(value, dtype=np.int64)


def _extradata(plain: dict[str, Any], path: str | Path) -> bytes:
    try:
        return base64.b64decode(plain.get("extradata", ""), validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise CorruptFileError("is not base64", file=path, leaf="extradata") from error
