"""What this library knows of a data set beyond the shared layout: `meta/embodia.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from embodia.core.config import from_json, to_json
from embodia.core.errors import CorruptFileError, VersionError
from embodia.core.provenance import Provenance
from embodia.core.specs import Contract
from embodia.data import layout
from embodia.io.atomic import write_json
from embodia.io.jsonio import read_json

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Extra:
    """The contract, where the pictures come from, other sentences for each instruction, the video profile."""

    contract: Contract
    provenance: Provenance
    paraphrases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    video: str = "train"


def read_extra(root: Path) -> Extra:
    """Raises `MissingFileError`, `CorruptFileError`, `VersionError`, or `ConfigError` naming the leaf."""
    path = root / layout.EXTRA
    plain = read_json(path)
    if not isinstance(plain, dict):
        raise CorruptFileError("is not an object", file=path)
    version = plain.pop("format", None)
    if version != FORMAT:
        raise VersionError(f"data set format {version!r}, this release knows {FORMAT}", file=path, leaf="format")
    return from_json(Extra, plain, file=str(path))


def write_extra(root: Path, extra: Extra) -> None:
    """Raises `StorageError`."""
    write_json(root / layout.EXTRA, {"format": FORMAT, **to_json(extra)})
