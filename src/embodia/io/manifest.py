"""A folder is complete when its manifest says so: size and SHA-256 of every file, written last.

"Latest" is computed by looking for complete folders, never stored in a link that a kill could leave dangling.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath
from typing import Any

from embodia.core.errors import CorruptFileError, DataError, MissingFileError, VersionError
from embodia.io.atomic import TEMPORARY, write_json
from embodia.io.jsonio import read_json

NAME = "manifest.json"
_FORMAT = 1


def sha256(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file. Raises `MissingFileError`, or `CorruptFileError` when it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise MissingFileError("file does not exist", file=path) from error
    except OSError as error:
        raise CorruptFileError(f"cannot be read: {error.strerror or error}", file=path) from error


def write_manifest(folder: str | Path) -> None:
    """List every file under `folder` with size and checksum in `manifest.json`, the last file to be written."""
    folder = Path(folder)
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / NAME and path.suffix != TEMPORARY
    }
    write_json(folder / NAME, {"format": _FORMAT, "files": files})


def verify(folder: str | Path) -> None:
    """Return if every listed file is there with the right bytes.

    Raises `MissingFileError` or `CorruptFileError` naming the first file that is not, `VersionError` for a manifest of
    another format.
    """
    for path, entry in _entries(Path(folder)):
        _check_size(path, entry)
        if sha256(path) != entry["sha256"]:
            raise CorruptFileError("the bytes are not those that were written (checksum)", file=path)


def complete(folder: str | Path) -> bool:
    """True if the manifest can be read and every listed file has its size; cheap, reads no contents."""
    try:
        for path, entry in _entries(Path(folder)):
            _check_size(path, entry)
    except DataError:
        return False
    return True


def latest(folder: str | Path) -> Path | None:
    """The complete sub-folder whose name sorts last (numbers by value), or None."""
    folder = Path(folder)
    if not folder.is_dir():
        return None
    children = [path for path in folder.iterdir() if path.is_dir() and path.suffix != TEMPORARY]
    ordered = sorted(children, key=lambda path: _natural(path.name), reverse=True)
    return next((path for path in ordered if complete(path)), None)


def _entries(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    path = folder / NAME
    manifest = read_json(path)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise CorruptFileError("is not a manifest", file=path)
    if manifest.get("format") != _FORMAT:
        raise VersionError(f"manifest format {manifest.get('format')!r}, this release knows {_FORMAT}", file=path)
    entries = []
    for name, entry in manifest["files"].items():
        parts = PurePosixPath(name).parts
        if not isinstance(entry, dict) or not {"bytes", "sha256"} <= entry.keys():
            raise CorruptFileError("entry needs bytes and sha256", file=path, leaf=name)
        if not parts or parts[0] == "/" or ".." in parts:
            raise CorruptFileError("entry points outside the folder", file=path, leaf=name)
        entries.append((folder.joinpath(*parts), entry))
    return entries


def _check_size(path: Path, entry: dict[str, Any]) -> None:
    if not path.is_file():
        raise MissingFileError("the manifest lists a file that does not exist", file=path)
    size = path.stat().st_size
    if size != entry["bytes"]:
        raise CorruptFileError(f"has {size} bytes, {entry['bytes']} were written", file=path)


def _natural(name: str) -> tuple[tuple[int, str], ...]:
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name) if part)
