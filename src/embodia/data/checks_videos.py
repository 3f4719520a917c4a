"""Checks of the videos of a data set: present, whole, of the right size, length and time, and as they were recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from embodia.core.errors import DataError
from embodia.core.specs import CameraSpec, Contract
from embodia.data import layout
from embodia.data.finding import Finding, Kind, from_error
from embodia.data.frames import first_frame
from embodia.data.rows import EpisodeRow
from embodia.io.frame_index import FrameIndex
from embodia.io.manifest import sha256
from embodia.io.video import Video, scan

_CLOCK_TOLERANCE_S = 2e-3
_STUCK_FRAMES = 10
_DECODED_AT_ONCE = 256
_NOISE_LEVELS = 24


def check_videos(root: Path, rows: Sequence[EpisodeRow], contract: Contract, *, decode: bool) -> Iterator[Finding]:
    """Check every video; with `decode` every frame is decoded too."""
    for camera in contract.observation.cameras:
        key = layout.image_key(camera.name)
        groups: dict[Path, list[EpisodeRow]] = {}
        for row in rows:
            if key in row.videos:
                groups.setdefault(row.videos[key].path, []).append(row)
            else:
                message = f"episode {row.index} has no video of {camera.name!r}"
                yield Finding(kind="missing_file", message=message, file=str(root / "meta/episodes"), leaf=key)
        for path, inside in groups.items():
            try:
                index = scan(root / path)
                yield from _file(root / path, index, inside, camera, contract.observation.rate_hz)
                if decode:
                    yield from _pictures(root / path, index, inside, camera)
            except DataError as error:
                yield from_error(error, root)


def _file(
    path: Path, index: FrameIndex, rows: Sequence[EpisodeRow], camera: CameraSpec, rate_hz: float
) -> Iterator[Finding]:
    def finding(kind: Kind, message: str, leaf: str | None = None) -> Finding:
        return Finding(kind=kind, message=message, file=str(path), leaf=leaf)

    if (index.height, index.width) != (camera.height, camera.width):
        message = f"{index.height} x {index.width} pixels, the contract says {camera.height} x {camera.width}"
        yield finding("wrong_shape", message, camera.name)
    if len(index) != sum(row.length for row in rows):
        yield finding("wrong_frames", f"{len(index)} frames, the episodes have {sum(row.length for row in rows)}")
    else:
        late = np.abs(index.times_s - np.arange(len(index)) / rate_hz)
        if late.max() > _CLOCK_TOLERANCE_S + 1e-6 * len(index) / rate_hz:
            yield finding("drift", f"frame {late.argmax()} is shown {late.max() * 1e3:.3g} ms off", "pts")
    expected = 0
    for row in rows:
        start = first_frame(index, row.videos[layout.image_key(camera.name)])
        if start != expected:
            yield finding("wrong_span", f"episode {row.index} starts at frame {start}, expected {expected}")
        expected = start + row.length
    stored = rows[0].videos[layout.image_key(camera.name)].sha256
    if len(rows) == 1 and stored and sha256(path) != stored:
        yield finding("checksum", "the bytes are not those that were recorded")
    yield from _stored_index(path, index)


def _stored_index(path: Path, index: FrameIndex) -> Iterator[Finding]:
    stored_path = layout.index_path(path)
    if not stored_path.exists():
        return
    try:
        stored = FrameIndex.load(stored_path)
    except DataError as error:
        yield from_error(error, path)
        return
    same = all(np.array_equal(getattr(stored, name), getattr(index, name)) for name in ("offset", "size", "pts"))
    if not same or stored.file_bytes != index.file_bytes or stored.extradata != index.extradata:
        yield Finding(kind="wrong_index", message="does not describe the video beside it", file=str(stored_path))


def _pictures(path: Path, index: FrameIndex, rows: Sequence[EpisodeRow], camera: CameraSpec) -> Iterator[Finding]:
    video = Video(path, index)
    for row in rows:
        start = first_frame(index, row.videos[layout.image_key(camera.name)])
        still = True
        first = None
        for begin in range(start, min(start + row.length, len(index)), _DECODED_AT_ONCE):
            end = min(begin + _DECODED_AT_ONCE, start + row.length, len(index))
            frames = video.frames(np.arange(begin, end))
            first = frames[0] if first is None else first
            still = still and not (np.abs(frames.astype(np.int16) - first) > _NOISE_LEVELS).any()
        if still and row.length >= _STUCK_FRAMES:
            message = f"episode {row.index}: the picture never changes"
            yield Finding(kind="stuck", message=message, file=str(path), leaf=camera.name, severity="warning")
