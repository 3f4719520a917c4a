"""Result files: the shared keys of every number that the documentation may quote, one JSON file a result.

A number without n, interval, controls, command and commit is not a result, so a missing key is an error here and not a
gap in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from embodia.core.errors import ConfigError, CorruptFileError
from embodia.io.atomic import write_json
from embodia.io.jsonio import read_json

RATE_KEYS = ("success_rate", "n", "interval")
SHARED_KEYS = (
    *RATE_KEYS,
    "controls",
    "per_task",
    "seconds",
    "versions",
    "command",
    "commit",
    "seed",
    "hardware",
    "notes",
)


def result_of(report: Mapping[str, Any], **further: Any) -> dict[str, Any]:
    """The shared keys of a report, rates reduced to their three keys, plus `further` facts of this result.

    Raises `ConfigError` naming the first key that is missing.
    """
    for key in SHARED_KEYS:
        if key not in report:
            raise ConfigError("a result needs this key", leaf=key)
    result = {key: report[key] for key in SHARED_KEYS}
    result["controls"] = {name: _rate(entry) for name, entry in report["controls"].items()}
    result["per_task"] = {name: _rate(entry) for name, entry in report["per_task"].items()}
    return {**result, **further}


def control_per_task(report: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Control -> task -> its rate: what `result_of` leaves out of the tasks of a report."""
    found: dict[str, dict[str, Any]] = {name: {} for name in report["controls"]}
    for task, entry in report["per_task"].items():
        for name, rate in entry["controls"].items():
            found[name][task] = _rate(rate)
    return found


def write_result(path: str | Path, report: Mapping[str, Any], **further: Any) -> None:
    """Write `result_of(report)` to a file such as results/act-metaworld.json. Errors as there, and `StorageError`."""
    write_json(path, result_of(report, **further))


def read_result(path: str | Path) -> dict[str, Any]:
    """A result file; raises `CorruptFileError` naming the first of the shared keys that it lacks."""
    value = read_json(path)
    keys = value.keys() if isinstance(value, dict) else ()
    for key in SHARED_KEYS:
        if key not in keys:
            raise CorruptFileError("is not a result: a key is missing", file=path, leaf=key)
    return dict(value)


def _rate(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: entry[key] for key in RATE_KEYS}
