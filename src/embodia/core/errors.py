"""The one tree of errors.

Every error that leaves the library is an `EmbodiaError`: it carries a stable code, the place (file and leaf) and,
where there is one, the cure. Foreign exceptions are mapped at the border (`io/`, the adapters), never swallowed.
"""

from __future__ import annotations

from pathlib import Path


class EmbodiaError(Exception):
    """Base of all errors; `str(error)` reads "[code] message (in file: leaf). cure"."""

    code = "E000"

    def __init__(
        self,
        message: str,
        *,
        file: str | Path | None = None,
        leaf: str | None = None,
        cure: str | None = None,
    ) -> None:
        self.message = message
        self.file = None if file is None else str(file)
        self.leaf = leaf
        self.cure = cure
        super().__init__(str(self))

    def __str__(self) -> str:
        place = ": ".join(part for part in (self.file, self.leaf) if part)
        text = f"[{self.code}] {self.message}"
        if place:
            text += f" (in {place})"
        return f"{text}. {self.cure}" if self.cure else text

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.file, self.leaf, self.cure)


def _rebuild(
    kind: type[EmbodiaError], message: str, file: str | None, leaf: str | None, cure: str | None
) -> EmbodiaError:
    return kind(message, file=file, leaf=leaf, cure=cure)


class UnknownNameError(EmbodiaError):
    """A policy, task, camera, recipe or option name that does not exist; the cure names the nearest one."""

    code = "E101"


class ConfigError(EmbodiaError):
    """A configuration value of the wrong type, an unknown key, or a combination that cannot be built."""

    code = "E102"


class MissingExtraError(EmbodiaError):
    """An optional package is not installed; the cure is the command that installs it."""

    code = "E103"


class ContractError(EmbodiaError):
    """Two sides of a seam disagree about an observation or an action; the message names both sides."""

    code = "E201"


class ProfileError(ContractError):
    """Training and evaluation would see pictures of different visual profiles, cameras or simulators."""

    code = "E202"


class DataError(EmbodiaError):
    """A data set that cannot be used; the more precise kinds follow."""

    code = "E300"


class MissingFileError(DataError):
    """A file that should exist does not."""

    code = "E301"


class CorruptFileError(DataError):
    """A file that exists but cannot be parsed: truncated, wrong magic, failed checksum."""

    code = "E302"


class NotFiniteError(DataError):
    """NaN or infinity where a number is needed."""

    code = "E303"


class ShapeError(DataError):
    """An array of the wrong shape or dtype."""

    code = "E304"


class StorageError(EmbodiaError):
    """The disk refused a write (full, read-only, quota); nothing half-written is left behind."""

    code = "E305"


class VersionError(DataError):
    """A file of a format version that this release does not know."""

    code = "E306"


class CheckpointError(EmbodiaError):
    """A checkpoint that does not fit: missing tensors, other shapes, other policy."""

    code = "E401"


class TrainingError(EmbodiaError):
    """Training cannot go on: the loss is not finite, or a rank disagrees with the others."""

    code = "E402"


class EnvironmentFailure(EmbodiaError):
    """A simulator that cannot be built, reset, stepped or rendered."""

    code = "E501"


class WorkerError(EmbodiaError):
    """A worker process died or timed out; the message names it and what it was doing."""

    code = "E502"


class ComparisonError(EmbodiaError):
    """Two results that may not be compared: other tasks, other seeds, other profile."""

    code = "E601"


class WireError(EmbodiaError):
    """Bytes from the network that are not a valid message: malformed, too large, or of a kind that is not allowed."""

    code = "E701"


class RemoteError(EmbodiaError):
    """A policy server that cannot be reached, does not answer in time, breaks off, or reports an error."""

    code = "E702"


class AccessError(EmbodiaError):
    """A refused token, or a server that would be open to strangers."""

    code = "E703"


class PolicyError(EmbodiaError):
    """A served policy failed while it decided; the server's log says why, the client only learns that it failed."""

    code = "E704"
