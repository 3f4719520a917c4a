"""The numbers of every frame, in memory: read once when a data set is opened, checked on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embodia.core.errors import CorruptFileError, NotFiniteError, ShapeError
from embodia.core.specs import Contract
from embodia.data import layout
from embodia.data.rows import EpisodeRow
from embodia.io.table import read_table


@dataclass(frozen=True, kw_only=True)
class FrameTables:
    """F frames: `vectors` and `wide` feature -> float32 (F, D), `rewards` and `times_s` (F,)."""

    vectors: Mapping[str, NDArray[np.float32]]
    rewards: NDArray[np.float32]
    times_s: NDArray[np.float32]
    wide: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


def read_frames(root: Path, rows: Sequence[EpisodeRow], contract: Contract) -> FrameTables:
    """The frames of all `rows` in their order; frames of episodes that were never committed are left out.

    Raises `MissingFileError`, `CorruptFileError`, `ShapeError` or `NotFiniteError` naming the table and the column.
    """
    wanted: dict[Path, list[EpisodeRow]] = {}
    for row in rows:
        wanted.setdefault(row.data, []).append(row)
    parts = [read_file(root / path, inside, contract) for path, inside in wanted.items()]
    return FrameTables(
        vectors={name: np.concatenate([part.vectors[name] for part in parts]) for name in parts[0].vectors},
        rewards=np.concatenate([part.rewards for part in parts]),
        times_s=np.concatenate([part.times_s for part in parts]),
        wide={name: np.concatenate([part.wide[name] for part in parts]) for name in parts[0].wide},
    )


def read_file(path: Path, rows: Sequence[EpisodeRow], contract: Contract) -> FrameTables:
    """The frames of the `rows` that lie in one table. Errors as `read_frames`."""
    table = read_table(path)
    names, wide = layout.vector_features(contract), layout.wide_features(contract)
    for name in (*names, *wide, "timestamp", "index", "episode_index"):
        if name not in table.column_names:
            raise CorruptFileError("column is missing", file=path, leaf=name)
    numbers = _numbers(table, "index", path).astype(np.int64)
    if sum(row.length for row in rows) > len(numbers):
        raise CorruptFileError("frames of a committed episode are missing", file=path, leaf="index")
    expected = np.concatenate([np.arange(row.first, row.first + row.length) for row in rows])
    where = np.searchsorted(numbers, expected)
    if len(numbers) == 0 or not np.array_equal(numbers[np.minimum(where, len(numbers) - 1)], expected):
        raise CorruptFileError("frames of a committed episode are missing or out of order", file=path, leaf="index")
    _check_episodes(_numbers(table, "episode_index", path)[where], rows, path)
    rewards = _numbers(table, layout.REWARD, path) if layout.REWARD in table.column_names else np.zeros(len(numbers))
    return FrameTables(
        vectors={name: _vector(table, name, len(names[name]), path)[where] for name in names},
        rewards=rewards.astype(np.float32)[where],
        times_s=_numbers(table, "timestamp", path).astype(np.float32)[where],
        wide={name: _vector(table, name, size, path)[where] for name, size in wide.items()},
    )


def _check_episodes(found: NDArray[Any], rows: Sequence[EpisodeRow], path: Path) -> None:
    expected = np.concatenate([np.full(row.length, row.index) for row in rows])
    if not np.array_equal(found, expected):
        raise CorruptFileError("frames belong to another episode", file=path, leaf="episode_index")


def _numbers(table: pa.Table, name: str, path: Path) -> NDArray[Any]:
    column = table.column(name)
    if column.null_count or not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise ShapeError(f"column is {column.type} with {column.null_count} gaps", file=path, leaf=name)
    return column.to_numpy()


def _vector(table: pa.Table, name: str, dim: int, path: Path) -> NDArray[np.float32]:
    column = table.column(name).combine_chunks()
    kind = column.type
    if pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind):
        values = np.asarray(column.flatten(), dtype=np.float32)
    else:
        values = _numbers(table, name, path).astype(np.float32)
    if len(values) != dim * len(column):
        raise ShapeError(f"{len(values) / max(1, len(column)):g} numbers a frame, expected {dim}", file=path, leaf=name)
    values = values.reshape(len(column), dim)
    if not np.isfinite(values).all():
        frame, place = (int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise NotFiniteError(f"not a finite number in frame {frame}, dimension {place}", file=path, leaf=name)
    return values
