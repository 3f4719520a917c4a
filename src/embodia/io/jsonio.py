"""Reading JSON and JSON lines: any bad byte ends in a typed error that names the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from embodia.core.errors import CorruptFileError, MissingFileError


def read_bytes(path: str | Path) -> bytes:
    """The bytes of a file. Raises `MissingFileError`, or `CorruptFileError` when the disk cannot read it."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise MissingFileError("file does not exist", file=path) from error
    except OSError as error:
        raise CorruptFileError(f"cannot be read: {error.strerror or error}", file=path) from error


def read_json(path: str | Path) -> Any:
    """Parsed JSON of a file. Raises `MissingFileError` or `CorruptFileError`."""
    return _parse(read_bytes(path), path, None)


def read_json_lines(path: str | Path) -> list[Any]:
    """One value a line; a torn last line (a writer was killed) is left out, a bad line before it is an error."""
    lines = read_bytes(path).split(b"\n")
    return [_parse(line, path, f"line {number}") for number, line in enumerate(lines[:-1], start=1) if line]


def _parse(data: bytes, path: str | Path, leaf: str | None) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CorruptFileError(f"is not JSON: {error}", file=path, leaf=leaf) from error
