"""Writing files so that a reader sees the old bytes or the new bytes, never half of either.

Every file is written under a temporary name, synced, renamed, and its folder synced; nothing else in the library opens
a file for writing. Watch out: a kill can leave a temporary file behind (never a half-written real one); `sweep` removes
those, and start-up paths call it.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from embodia.core.errors import NotFiniteError, StorageError

TEMPORARY = ".tmp"
"""Suffix of everything that is not finished; such names also start with a dot and no reader looks at them."""


class Closing(Protocol):
    """Something that is held until it is closed."""

    def close(self) -> None:
        """Let go."""
        ...


def _write_some(descriptor: int, data: memoryview) -> int:
    """The one system call that puts bytes on disk; tests replace it to make the k-th write fail."""
    return os.write(descriptor, data)


def _sync(descriptor: int) -> None:
    """The one system call that makes bytes durable; tests replace it too."""
    os.fsync(descriptor)


def write_bytes(path: str | Path, data: bytes | bytearray | memoryview, *, durable: bool = True) -> None:
    """Replace the file at `path` by `data`; folders are made as needed.

    `durable` False skips the two syncs, for files that can be computed again. Raises `StorageError` with the old file
    untouched when the disk refuses.
    """
    with replace_file(path, durable=durable) as temporary:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            _write_all(descriptor, memoryview(data))
        finally:
            os.close(descriptor)


def write_text(path: str | Path, text: str, *, durable: bool = True) -> None:
    """Replace the file at `path` by `text` in UTF-8."""
    write_bytes(path, text.encode(), durable=durable)


def write_json(path: str | Path, value: Any, *, durable: bool = True) -> None:
    """Replace the file at `path` by JSON with sorted keys; NaN and infinity raise `NotFiniteError`."""
    try:
        text = json.dumps(value, sort_keys=True, indent=2, allow_nan=False, ensure_ascii=False)
    except ValueError as error:
        raise NotFiniteError(f"cannot be written to JSON: {error}", file=path) from error
    write_text(path, text + "\n", durable=durable)


@contextmanager
def replace_file(path: str | Path, *, durable: bool = True) -> Iterator[Path]:
    """A temporary path to fill; renamed to `path` when the block ends well, removed when it does not.

    For writers that insist on a path of their own. Raises `StorageError` for every `OSError` inside the block.
    """
    path = Path(path)
    temporary = _temporary_beside(path)
    with _typed(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            if durable:
                _sync_path(temporary)
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        if durable:
            _sync_path(path.parent)


@contextmanager
def replace_folder(path: str | Path) -> Iterator[Path]:
    """A temporary folder to fill; synced and renamed to `path` when the block ends well, removed when it does not.

    A folder already at `path` is moved aside first and removed last: at every instant the old or the new one exists,
    though for the time between two renames the old one carries a temporary name.
    """
    path = Path(path)
    temporary = _temporary_beside(path)
    with _typed(path):
        temporary.mkdir(parents=True)
        try:
            yield temporary
            for folder, _, names in os.walk(temporary):
                for name in names:
                    _sync_path(Path(folder, name))
                _sync_path(Path(folder))
            _swap(temporary, path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        _sync_path(path.parent)


def append_line(path: str | Path, text: str) -> None:
    """Append one line (for metrics in JSON lines); a torn last line, left by a kill, is cut off first.

    Raises `StorageError` with the file as it was when the disk refuses.
    """
    path = Path(path)
    with _typed(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            size = _cut_torn_line(descriptor)
            try:
                _write_all(descriptor, memoryview(f"{text}\n".encode()))
            except OSError:
                os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)


def make_folder(path: str | Path) -> Path:
    """Make a folder and its parents; raises `StorageError`."""
    with _typed(Path(path)):
        Path(path).mkdir(parents=True, exist_ok=True)
    return Path(path)


def remove(path: str | Path) -> None:
    """Remove a file or a folder if it exists; raises `StorageError`."""
    path = Path(path)
    with _typed(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def lock(path: str | Path) -> Closing:
    """Hold `path` for this process until `close()`, or until the process ends in any way.

    Raises `StorageError` when another process (or another part of this one) holds it.
    """
    path = Path(path)
    with _typed(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise StorageError("another process writes here", file=path, cure="Wait for it to end.") from error
    return os.fdopen(descriptor)


def sweep(folder: str | Path) -> int:
    """Remove every temporary file and folder under `folder` that a kill left behind; the number removed.

    Only the one process that writes into `folder` may call this.
    """
    found = [path for path in Path(folder).rglob(f".*{TEMPORARY}") if path.exists()]
    for path in found:
        remove(path)
    return len(found)


def _temporary_beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY}")


def _write_all(descriptor: int, data: memoryview) -> None:
    data = data.cast("B")
    while data:
        data = data[_write_some(descriptor, data) :]


def _sync_path(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def _swap(temporary: Path, path: Path) -> None:
    aside = _temporary_beside(path)
    if path.exists():
        path.replace(aside)
    temporary.replace(path)
    shutil.rmtree(aside, ignore_errors=True)


def _cut_torn_line(descriptor: int) -> int:
    size = os.fstat(descriptor).st_size
    end = size
    while end and os.pread(descriptor, 1, end - 1) != b"\n":
        end -= 1
    if end != size:
        os.ftruncate(descriptor, end)
    return end


@contextmanager
def _typed(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        cure = "Free space or choose another folder, then run the command again."
        raise StorageError(f"cannot write: {reason}", file=path, cure=cure) from error
