"""Checks of the numbers of a data set: tables of frames, counters, time stamps, sentences, statistics."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodia.core.errors import DataError
from embodia.core.specs import Contract
from embodia.data import layout
from embodia.data.finding import Finding, Kind, from_error
from embodia.data.rows import EpisodeRow
from embodia.data.tables import FrameTables, read_file
from embodia.io.jsonio import read_json
from embodia.io.manifest import sha256
from embodia.io.table import read_table

_CLOCK_TOLERANCE_S = 1e-4
_STUCK_FRAMES = 10
_RANGE_SLACK = 1e-3
_QUANTILE_SLACK = 0.02


def check_tables(
    root: Path, rows: Sequence[EpisodeRow], contract: Contract, sentences: Sequence[str], found: list[Finding]
) -> FrameTables | None:
    """Check every table of frames, adding to `found`; all frames together if every table could be read."""
    groups: dict[Path, list[EpisodeRow]] = {}
    for row in rows:
        groups.setdefault(row.data, []).append(row)
    parts = []
    for path, inside in groups.items():
        try:
            tables = read_file(root / path, inside, contract)
        except DataError as error:
            found.append(from_error(error, root))
            continue
        parts.append(tables)
        found += _checksum(root / path, inside)
        found += _counters(root / path, inside, contract.observation.rate_hz, sentences)
        found += _values(root / path, inside, tables, contract)
    if len(parts) < len(groups):
        return None
    return FrameTables(
        vectors={name: np.concatenate([part.vectors[name] for part in parts]) for name in parts[0].vectors},
        rewards=np.concatenate([part.rewards for part in parts]),
        times_s=np.concatenate([part.times_s for part in parts]),
    )


def check_statistics(root: Path, tables: FrameTables, *, quantiles: bool) -> Iterator[Finding]:
    """Compare `stats.json` with the frames; quantiles only where they were kept over all frames."""
    path = root / layout.STATS
    try:
        stored = read_json(path)
    except DataError as error:
        yield from_error(error, root)
        return
    for name, values in tables.vectors.items():
        for figure, expected in _figures(values, quantiles).items():
            given = _numbers(stored, name, figure)
            slack = _QUANTILE_SLACK if figure.startswith("q") else 1e-4
            scale = np.maximum(1e-3, values.std(0)) if figure != "count" else np.ones(1)
            if given is None or given.shape != expected.shape or (np.abs(given - expected) > slack * scale).any():
                message = f"{figure} is {_short(given)}, the frames give {_short(expected)}"
                yield Finding(kind="wrong_statistics", message=message, file=str(path), leaf=f"{name}.{figure}")


def check_duplicates(root: Path, rows: Sequence[EpisodeRow], tables: FrameTables) -> Iterator[Finding]:
    """Episodes whose states and actions, or where there are none whose videos, equal an earlier episode's."""
    seen: dict[bytes, int] = {}
    for row in rows:
        part = slice(row.first, row.first + row.length)
        digest = hashlib.blake2b(digest_size=16)
        for values in tables.vectors.values():
            digest.update(np.ascontiguousarray(values[part]).tobytes())
        if not tables.vectors:
            digest.update(repr([row.videos[key].sha256 or row.videos[key] for key in sorted(row.videos)]).encode())
        earlier = seen.setdefault(digest.digest(), row.index)
        if earlier != row.index:
            message = f"episode {row.index} has the same frames as episode {earlier}"
            yield Finding(kind="duplicate", message=message, file=str(root / row.data), severity="warning")


def read_sentences(root: Path, rows: Sequence[EpisodeRow], found: list[Finding]) -> tuple[str, ...]:
    """The sentences of `tasks.parquet` by number; adds to `found` those that episodes use and the table lacks."""
    path = root / layout.TASKS
    try:
        table = read_table(path, ["task_index", "task"])
    except DataError as error:
        found.append(from_error(error, root))
        return ()
    numbered = dict(zip(table["task_index"].to_pylist(), table["task"].to_pylist(), strict=True))
    sentences = tuple(str(numbered.get(number, "")) for number in range(len(numbered)))
    for sentence in sorted({row.instruction for row in rows} - set(sentences)):
        message = f"the sentence {sentence!r} of an episode is not in the table"
        found.append(Finding(kind="wrong_task", message=message, file=str(path), leaf="task"))
    return sentences


def _checksum(path: Path, rows: Sequence[EpisodeRow]) -> Iterator[Finding]:
    if len(rows) == 1 and rows[0].sha256 and sha256(path) != rows[0].sha256:
        yield Finding(kind="checksum", message="the bytes are not those that were recorded", file=str(path))


def _counters(path: Path, rows: Sequence[EpisodeRow], rate_hz: float, sentences: Sequence[str]) -> Iterator[Finding]:
    try:
        table = read_table(path, list(layout.COUNTERS))
    except DataError as error:
        yield from_error(error, path)
        return
    columns = {name: table[name].to_numpy() for name in layout.COUNTERS}
    for row in rows:
        inside = np.isin(columns["index"], np.arange(row.first, row.first + row.length))
        part = {name: values[inside] for name, values in columns.items()}
        yield from _episode_counters(path, row, part, rate_hz, sentences)


def _episode_counters(
    path: Path, row: EpisodeRow, part: dict[str, NDArray[Any]], rate_hz: float, sentences: Sequence[str]
) -> Iterator[Finding]:
    def finding(kind: Kind, message: str, leaf: str) -> Finding:
        return Finding(kind=kind, message=f"episode {row.index}: {message}", file=str(path), leaf=leaf)

    frame = np.arange(row.length)
    if not np.array_equal(part["frame_index"], frame):
        yield finding("gap", "frames are not numbered 0, 1, 2, ...", "frame_index")
    late = np.abs(part["timestamp"].astype(np.float64) - frame / rate_hz)
    if late.max() > _CLOCK_TOLERANCE_S + 1e-6 * row.length / rate_hz:
        worst = int(late.argmax())
        message = f"frame {worst} is {late[worst] * 1e3:.3g} ms away from frame number / rate"
        yield finding("drift", message, "timestamp")
    known = {sentences[number] if 0 <= number < len(sentences) else None for number in set(part["task_index"].tolist())}
    if known != {row.instruction}:
        yield finding("wrong_task", f"frames say {known}, the episode {row.instruction!r}", "task_index")


def _values(path: Path, rows: Sequence[EpisodeRow], tables: FrameTables, contract: Contract) -> Iterator[Finding]:
    start = 0
    for row in rows:
        part = slice(start, start + row.length)
        start += row.length
        if layout.ACTION not in tables.vectors:
            continue
        state, action = tables.vectors.get(layout.STATE), tables.vectors[layout.ACTION][part]
        yield from _range(path, row, action, contract)
        if state is not None and row.length >= _STUCK_FRAMES and action.any() and not np.ptp(state[part], axis=0).any():
            message = f"episode {row.index}: the state never changes though actions do"
            yield Finding(kind="stuck", message=message, file=str(path), leaf=layout.STATE, severity="warning")


def _range(path: Path, row: EpisodeRow, actions: NDArray[np.float32], contract: Contract) -> Iterator[Finding]:
    start = 0
    for part in contract.action.parts:
        values = actions[:, start : start + part.dim]
        start += part.dim
        slack = _RANGE_SLACK * (part.high - part.low)
        if values.min() < part.low - slack or values.max() > part.high + slack:
            message = f"episode {row.index}: {values.min():.4g}..{values.max():.4g} outside {part.low}..{part.high}"
            yield Finding(
                kind="out_of_range", message=message, file=str(path), leaf=f"action.{part.name}", severity="warning"
            )


def _figures(values: NDArray[np.float32], quantiles: bool) -> dict[str, NDArray[np.float64]]:
    wide = values.astype(np.float64)
    found = {"count": np.array([float(len(wide))]), "mean": wide.mean(0), "std": wide.std(0)}
    found |= {"min": wide.min(0), "max": wide.max(0)}
    if quantiles:
        found |= {"q01": np.quantile(wide, 0.01, axis=0), "q99": np.quantile(wide, 0.99, axis=0)}
    return found


def _numbers(stored: Any, name: str, figure: str) -> NDArray[np.float64] | None:
    try:
        return np.array(stored[name][figure], dtype=np.float64)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError):
        return None


def _short(values: NDArray[np.float64] | None) -> str:
    return "missing" if values is None else np.array2string(values, precision=4, threshold=8)
