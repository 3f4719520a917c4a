"""What a validation reports: one thing that is wrong, where, and how bad it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from embodia.core.errors import (
    CorruptFileError,
    EmbodiaError,
    MissingFileError,
    NotFiniteError,
    ShapeError,
    VersionError,
)

Kind = Literal[
    "missing_file",
    "corrupt",
    "not_finite",
    "wrong_shape",
    "wrong_version",
    "wrong_contract",
    "checksum",
    "wrong_count",
    "wrong_task",
    "wrong_order",
    "drift",
    "gap",
    "wrong_statistics",
    "wrong_frames",
    "wrong_index",
    "wrong_span",
    "out_of_range",
    "stuck",
    "duplicate",
    "leftover",
]

_KINDS: dict[type[EmbodiaError], Kind] = {
    MissingFileError: "missing_file",
    CorruptFileError: "corrupt",
    NotFiniteError: "not_finite",
    ShapeError: "wrong_shape",
    VersionError: "wrong_version",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """`severity` "error": the set must not be trained on; "warning": a person should look."""

    kind: Kind
    message: str
    file: str
    leaf: str | None = None
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        place = self.file if self.leaf is None else f"{self.file}: {self.leaf}"
        return f"{self.severity} [{self.kind}] {self.message} (in {place})"


def from_error(error: EmbodiaError, root: Path) -> Finding:
    """The finding that an error of reading amounts to."""
    kinds: list[Kind] = [kind for known, kind in _KINDS.items() if isinstance(error, known)]
    kind: Kind = kinds[0] if kinds else "wrong_contract"
    return Finding(kind=kind, message=error.message, file=error.file or str(root), leaf=error.leaf)
