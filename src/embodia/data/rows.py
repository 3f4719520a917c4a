"""The table of episodes: one committed row an episode, read without looking at frames or videos."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from embodia.core.errors import CorruptFileError, MissingFileError
from embodia.data import layout
from embodia.io.table import read_table

_MINE = "embodia/"
_FACTS = ("task", "seed", "success", "source", "sha256")


@dataclass(frozen=True, kw_only=True)
class Span:
    """The part of a video that belongs to an episode: from `start_s` on in `path` (relative to the root)."""

    path: Path
    start_s: float
    sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class EpisodeRow:
    """What is known of one committed episode.

    `first` is the running number of its first frame; `data` the table of its frames relative to the root, `videos` by
    feature name. `task`, `seed`, `success`, `source` and the checksums exist only in sets recorded here.
    """

    index: int
    instruction: str
    length: int
    first: int
    data: Path
    videos: Mapping[str, Span]
    task: str = ""
    seed: int = -1
    success: bool = True
    source: str = ""
    sha256: str = ""
    stats: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def table(self) -> pa.Table:
        """The row as another v3 reader expects it, with what this library adds."""
        chunk, file = layout.place(self.index)
        columns: dict[str, Any] = {
            "episode_index": self.index,
            "tasks": [self.instruction],
            "length": self.length,
            "dataset_from_index": self.first,
            "dataset_to_index": self.first + self.length,
        }
        columns |= _pointer("data", chunk, file) | _pointer("meta/episodes", chunk, file)
        for key, span in self.videos.items():
            columns |= _pointer(f"videos/{key}", chunk, file)
            columns |= {f"videos/{key}/from_timestamp": span.start_s}
            columns |= {f"{_MINE}sha256/{key}": span.sha256}
        for name in _FACTS:
            columns[_MINE + name] = getattr(self, name)
        columns |= {f"stats/{key}/{name}": v for key, found in self.stats.items() for name, v in found.items()}
        return pa.table({name: [value] for name, value in columns.items()})


def with_ends(table: pa.Table, keys: Sequence[str], seconds: float) -> pa.Table:
    """The row's table with the end of each video."""
    for key in keys:
        table = table.append_column(f"videos/{key}/to_timestamp", pa.array([seconds]))
    return table


def read_rows(root: str | Path, *, stats: bool = False) -> list[EpisodeRow]:
    """All committed episodes in order.

    Raises `MissingFileError` for a set without episodes, `CorruptFileError` naming the file for a row that cannot be
    understood, a number that is missing or frames that overlap.
    """
    root = Path(root)
    paths = sorted((root / "meta/episodes").glob("chunk-*/file-*.parquet"))
    found = [row for path in paths for row in _read_file(root, path, stats)]
    if not found:
        raise MissingFileError("holds no episodes", file=root / "meta/episodes")
    _check_order(root, found)
    return found


def _check_order(root: Path, rows: Sequence[EpisodeRow]) -> None:
    first = 0
    for number, row in zip(itertools.count(), rows, strict=False):
        if row.index != number or row.first != first:
            raise CorruptFileError(
                f"episode {number} should come here and start at frame {first}, found {row.index} at {row.first}",
                file=root / "meta/episodes",
                leaf="dataset_from_index" if row.index == number else "episode_index",
            )
        first += row.length


def _read_file(root: Path, path: Path, stats: bool) -> list[EpisodeRow]:
    try:
        names = pq.ParquetFile(str(path)).schema_arrow.names
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CorruptFileError(f"is not a readable parquet file: {error}", file=path) from error
    wanted = [name for name in names if stats or not name.startswith("stats/")]
    plain = read_table(path, wanted).to_pylist()
    try:
        return [_row(root, item) for item in plain]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise CorruptFileError(f"a row cannot be understood: {error!r}", file=path, leaf=str(error)) from error


def _row(root: Path, item: dict[str, Any]) -> EpisodeRow:
    keys = [name[len("videos/") : -len("/chunk_index")] for name in item if _is_video(name)]
    spans = {
        key: Span(
            path=layout.video_path(Path(), key, *_pointed(item, f"videos/{key}")),
            start_s=float(item[f"videos/{key}/from_timestamp"]),
            sha256=str(item.get(f"{_MINE}sha256/{key}") or ""),
        )
        for key in keys
    }
    mine = {name: item[_MINE + name] for name in _FACTS if _MINE + name in item}
    row = EpisodeRow(
        index=int(item["episode_index"]),
        instruction=str(item["tasks"][0]) if item["tasks"] else "",
        length=int(item["length"]),
        first=int(item["dataset_from_index"]),
        data=layout.data_path(Path(), *_pointed(item, "data")),
        videos=spans,
        stats=_stats(item),
        **mine,
    )
    if row.length < 1 or row.index < 0 or not isinstance(row.task, str) or not isinstance(row.seed, int):
        raise ValueError("length")
    return row


def _stats(item: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, value in item.items():
        if name.startswith("stats/"):
            key, figure = name[len("stats/") :].rsplit("/", 1)
            found.setdefault(key, {})[figure] = value
    return found


def _is_video(name: str) -> bool:
    return name.startswith("videos/") and name.endswith("/chunk_index")


def _pointer(kind: str, chunk: int, file: int) -> dict[str, int]:
    return {f"{kind}/chunk_index": chunk, f"{kind}/file_index": file}


def _pointed(item: dict[str, Any], kind: str) -> tuple[int, int]:
    return int(item[f"{kind}/chunk_index"]), int(item[f"{kind}/file_index"])
