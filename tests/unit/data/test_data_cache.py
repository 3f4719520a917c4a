"""Mapped frames come back as stored, foreign ones not at all, and only what is asked for is read from disk."""

import ctypes
import ctypes.util
import mmap
import os
from pathlib import Path

import numpy as np
import pytest

from embodia.data import layout
from embodia.data.cache import FrameCache, MappedFrames
from embodia.io.video import Frames

SHAPE = (120, 96, 96, 3)
KEY = bytes(range(20))


def stored(root: Path, budget_bytes: int = 1 << 24) -> tuple[FrameCache, Frames]:
    frames = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)
    cache = FrameCache(root, budget_bytes)
    cache.put(KEY, frames)
    return cache, frames


def resident_share(frames: MappedFrames) -> float:
    """The share of pages of the mapping that lie in memory."""
    libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
    pages = -(-frames.array.nbytes // mmap.PAGESIZE)
    found = (ctypes.c_ubyte * pages)()
    start = ctypes.c_void_p(frames.array.__array_interface__["data"][0])
    if libc.mincore(start, ctypes.c_size_t(frames.array.nbytes), found):
        pytest.skip("this system does not tell what lies in memory")
    return sum(page & 1 for page in found) / pages


def forget(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def test_frames_come_back_as_stored(tmp_path: Path) -> None:
    cache, frames = stored(tmp_path)
    found = cache.get(KEY, SHAPE)
    assert found is not None
    np.testing.assert_array_equal(found.array, frames)
    assert not found.array.flags.writeable


@pytest.mark.parametrize(("first", "count"), [(0, 1), (7, 1), (119, 1), (0, 120), (119, 0)])
def test_requests_change_nothing(tmp_path: Path, first: int, count: int) -> None:
    cache, frames = stored(tmp_path)
    found = cache.get(KEY, SHAPE)
    assert found is not None
    found.request(first, count)
    np.testing.assert_array_equal(found.array[first], frames[first])


def test_another_key_size_or_ending_is_not_read(tmp_path: Path) -> None:
    cache, _ = stored(tmp_path)
    assert cache.get(KEY[::-1], SHAPE) is None
    assert cache.get(KEY, (121, 96, 96, 3)) is None
    path = next((tmp_path / layout.CACHE).glob("*/*.u8"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert cache.get(KEY, SHAPE) is None


def test_nothing_is_stored_beyond_the_budget(tmp_path: Path) -> None:
    cache, _ = stored(tmp_path, budget_bytes=1 << 20)
    assert cache.get(KEY, SHAPE) is None


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="files cannot be dropped from memory here")
def test_only_the_frame_that_is_asked_for_is_read(tmp_path: Path) -> None:
    cache, frames = stored(tmp_path)
    path = next((tmp_path / layout.CACHE).glob("*/*.u8"))
    forget(path)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        if resident_share(MappedFrames(mapped, SHAPE)) > 0:
            pytest.skip("this file system keeps its files in memory")
    found = cache.get(KEY, SHAPE)
    assert found is not None
    found.request(60)
    np.testing.assert_array_equal(found.array[60], frames[60])
    assert resident_share(found) < 4 / SHAPE[0]
