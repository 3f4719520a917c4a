"""Video files of one camera: fast faithful encoding, and random access that never scans.

The default profile is H.264 in RGB with a key frame every four: no colour conversion, so every conforming decoder gives
the same bytes, and small saturated objects keep their colours (4:2:0 chroma costs 96-pixel simulator pictures more
than ten decibels). A `FrameIndex` stored beside the video says where each frame's bytes lie; decoding reads just those.
Watch out: a `Video` holds a decoder and belongs to one thread.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from embodia.core.errors import CorruptFileError, MissingExtraError, MissingFileError, ShapeError
from embodia.core.names import unknown
from embodia.io.atomic import write_bytes
from embodia.io.frame_index import FrameIndex

Frames = NDArray[np.uint8]
"""uint8 RGB (N H W 3)."""


@dataclass(frozen=True, kw_only=True)
class VideoProfile:
    """How frames become bytes: `codec`, `pixel_format`, `preset`, `quality` (rate factor, lower is better), `gop`."""

    codec: str
    pixel_format: str
    preset: str
    quality: int
    gop: int


PROFILES = {
    "train": VideoProfile(codec="libx264rgb", pixel_format="rgb24", preset="ultrafast", quality=18, gop=4),
    "lossless": VideoProfile(codec="libx264rgb", pixel_format="rgb24", preset="ultrafast", quality=0, gop=4),
    "small": VideoProfile(codec="libx264", pixel_format="yuv420p", preset="veryfast", quality=20, gop=16),
    "web": VideoProfile(codec="libx264", pixel_format="yuv420p", preset="veryfast", quality=23, gop=32),
}
"""`train` for data sets, `lossless` for bit-exact pictures, `small` for archives, `web` for reports in a browser."""


def profile_named(name: str) -> VideoProfile:
    """The profile of that name. Raises `UnknownNameError`."""
    if name not in PROFILES:
        raise unknown("video profile", name, PROFILES)
    return PROFILES[name]


def encode(path: str | Path, frames: Frames, fps: float, profile: str = "train") -> FrameIndex:
    """Write an mp4 atomically and return its frame index. Errors as `encode_bytes`, and `StorageError`."""
    data = encode_bytes(frames, fps, profile)
    write_bytes(path, data)
    return index_bytes(data, where=str(path))


def encode_bytes(frames: Frames, fps: float, profile: str = "train") -> bytes:
    """An mp4 file in memory: frame i is shown at i / fps seconds.

    Raises `ShapeError` unless `frames` is uint8 (N H W 3) with N >= 1 and, where the profile halves the colours, even
    H and W; `MissingExtraError` when this PyAV lacks the encoder.
    """
    chosen = profile_named(profile)
    _check_frames(frames, chosen)
    sink = io.BytesIO()
    with av.open(sink, "w", format="mp4") as container:
        stream = _stream(container, chosen, frames, fps)
        for position, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            picture.pts = position
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return sink.getvalue()


def index_bytes(data: bytes, *, where: str) -> FrameIndex:
    """The frame index of an mp4 file in memory; parses the header, decodes nothing."""
    with _corrupt(where), av.open(io.BytesIO(data), "r") as container:
        return _index(container, len(data), where)


def scan(path: str | Path) -> FrameIndex:
    """The frame index of a file without one (recorded by another program); parses the header, decodes nothing.

    Raises `MissingFileError`, or `CorruptFileError` for a file that is cut off or holds no video.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFileError("video does not exist", file=path)
    with _corrupt(path), av.open(str(path), "r") as container:
        return _index(container, path.stat().st_size, str(path))


def decode_bytes(data: bytes, index: FrameIndex, *, where: str) -> Frames:
    """All frames of an mp4 file in memory, in order of display."""
    return _Decoder(index, where).frames(lambda first, last: data[first:last], np.arange(len(index)))


class Video:
    """Random access to the frames of one file.

    `index` comes from beside the file; without it the header is parsed once. Frames are what every conforming decoder
    gives (RGB as stored for the `train` profile, converted by swscale for others).
    """

    def __init__(self, path: str | Path, index: FrameIndex | None = None) -> None:
        self.path = Path(path)
        self.index = index or scan(self.path)
        self._decoder: _Decoder | None = None
        try:
            size = self.path.stat().st_size
        except FileNotFoundError as error:
            raise MissingFileError("video does not exist", file=self.path) from error
        if size != self.index.file_bytes:
            raise CorruptFileError(f"has {size} bytes, its index says {self.index.file_bytes}", file=self.path)

    def __len__(self) -> int:
        return len(self.index)

    def frames(self, indices: Sequence[int] | NDArray[np.int64]) -> Frames:
        """The frames at `indices` (any order, repeats allowed), uint8 (K H W 3).

        Raises `ShapeError` for an index out of range, `CorruptFileError` when the bytes do not decode.
        """
        wanted = np.asarray(indices, dtype=np.int64)
        if wanted.size and (wanted.min() < 0 or wanted.max() >= len(self)):
            raise ShapeError(f"frame {wanted.min()}..{wanted.max()} of {len(self)}", file=self.path, leaf="frames")
        if self._decoder is None:
            self._decoder = _Decoder(self.index, str(self.path))
        with _corrupt(self.path), self.path.open("rb") as file:
            number = file.fileno()
            return self._decoder.frames(lambda first, last: os.pread(number, last - first, first), wanted)


def _check_frames(frames: Frames, profile: VideoProfile) -> None:
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        raise ShapeError(f"frames are {frames.dtype} {frames.shape}, expected uint8 (N H W 3)", leaf="frames")
    if profile.pixel_format == "yuv420p" and (frames.shape[1] % 2 or frames.shape[2] % 2):
        raise ShapeError(f"frames of {frames.shape[1:3]} pixels: this profile needs even sizes", leaf="frames")


def _stream(
    container: av.container.OutputContainer, profile: VideoProfile, frames: Frames, fps: float
) -> av.VideoStream:
    keys = f"keyint={profile.gop}:min-keyint={profile.gop}:scenecut=0:bframes=0"
    options = {"preset": profile.preset, "crf": str(profile.quality), "x264-params": keys}
    try:
        stream: Any = container.add_stream(profile.codec, rate=Fraction(fps).limit_denominator(1001), options=options)
    except (av.FFmpegError, ValueError) as error:
        raise MissingExtraError(f"this PyAV has no encoder {profile.codec!r}", cure="pip install av>=14") from error
    stream.height, stream.width = frames.shape[1:3]
    stream.pix_fmt = profile.pixel_format
    stream.codec_context.time_base = 1 / Fraction(fps).limit_denominator(1001)
    stream.codec_context.thread_count = 1
    return stream


def _index(container: av.container.InputContainer, size: int, where: str) -> FrameIndex:
    if not container.streams.video:
        raise CorruptFileError("holds no video", file=where)
    stream = container.streams.video[0]
    context = stream.codec_context
    packets = [(packet.pos, packet.size, packet.is_keyframe, packet.pts) for packet in container.demux(stream)]
    table = np.array([packet for packet in packets if packet[1]], dtype=object)
    if not len(table) or None in table:
        raise CorruptFileError("holds no frames", file=where)
    offset, length, key, pts = table.astype(np.int64).T
    if (offset + length).max() > size:
        raise CorruptFileError("is cut off: the header names frames beyond the end", file=where)
    rate = stream.average_rate or stream.time_base or Fraction(1)
    return FrameIndex(
        codec=context.name,
        width=context.width,
        height=context.height,
        fps=float(rate),
        file_bytes=size,
        extradata=bytes(context.extradata or b""),
        offset=offset,
        size=length,
        key=key.astype(bool),
        pts=pts,
        time_base_s=float(stream.time_base or 1 / rate),
    )


class _Decoder:
    """A codec and a colour converter that are kept: making the latter costs thirty times a small picture."""

    def __init__(self, index: FrameIndex, where: str) -> None:
        self._index, self._where = index, where
        try:
            context = av.CodecContext.create(index.codec, "r")
        except (av.FFmpegError, ValueError) as error:
            raise CorruptFileError(f"codec {index.codec!r} cannot be decoded here", file=where) from error
        if not isinstance(context, av.VideoCodecContext):
            raise CorruptFileError(f"codec {index.codec!r} is not for video", file=where)
        context.extradata = index.extradata
        context.thread_count = 1
        self._context, self._convert = context, VideoReformatter()

    def frames(self, read: Callable[[int, int], bytes], wanted: NDArray[np.int64]) -> Frames:
        """The frames `wanted`; `read(first, last)` gives bytes of the file. Raises `CorruptFileError`."""
        index = self._index
        out = np.empty((len(wanted), index.height, index.width, 3), dtype=np.uint8)
        places: dict[int, list[int]] = {}
        for place, tick in enumerate(index.shown[wanted].tolist()):
            places.setdefault(tick, []).append(place)
        with _corrupt(self._where):
            for run in index.runs(wanted):
                missing = set(index.pts[run.start : run.stop].tolist()).intersection(places)
                for picture in self._pictures(read, run, missing):
                    missing.discard(picture.pts)
                    for place in places.pop(picture.pts, ()) if picture.pts is not None else ():
                        self._copy(picture, out[place])
        if places:
            raise CorruptFileError(f"frame at tick {min(places)} does not decode", file=self._where, leaf="frames")
        return out

    def _pictures(
        self, read: Callable[[int, int], bytes], run: range, missing: Collection[int]
    ) -> Iterator[av.VideoFrame]:
        """Pictures of a run; a decoder that still holds some of the `missing` ones is drained, which is slow."""
        index, context = self._index, self._context
        first = index.offset[run.start : run.stop]
        last = first + index.size[run.start : run.stop]
        begin = int(first.min())
        data = read(begin, int(last.max()))
        ticks = index.pts[run.start : run.stop].tolist()
        for start, stop, tick in zip((first - begin).tolist(), (last - begin).tolist(), ticks, strict=True):
            packet = av.Packet(data[start:stop])
            packet.pts = packet.dts = tick
            yield from context.decode(packet)
        if missing:
            yield from context.decode(None)
            context.flush_buffers()

    def _copy(self, picture: av.VideoFrame, out: Frames) -> None:
        if picture.format.name != "gbrp" or (picture.height, picture.width) != out.shape[:2]:
            image = self._convert.reformat(picture, format="rgb24", threads=1).to_ndarray()
            if image.shape != out.shape:
                raise ValueError(f"a frame of {image.shape} among frames of {out.shape}")
            out[...] = image
            return
        for channel, plane in zip((1, 2, 0), picture.planes, strict=True):
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            out[..., channel] = rows[: out.shape[0], : out.shape[1]]


@contextmanager
def _corrupt(where: str | Path) -> Iterator[None]:
    try:
        yield
    except (av.FFmpegError, EOFError, OSError, ValueError) as error:
        raise CorruptFileError(f"is not a readable video: {error}", file=where) from error
