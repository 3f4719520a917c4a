"""What should be said at each frame, by kind: sub-tasks, reasoning, answers to questions; a table an episode.

A kind may come with questions (in the column KIND?), one a frame; then it can stand alone as question-answer data. The
tables lie beside the frames and are read when a kind is first asked for. Watch out: a text may be empty, which means
that there is nothing to say at that frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embodia.core.errors import CorruptFileError, ShapeError
from embodia.core.names import unknown
from embodia.data import layout
from embodia.data.rows import EpisodeRow
from embodia.io.table import read_table

FOLDER = "answers"
_ASKED = "?"


def path_of(root: Path, number: int) -> Path:
    """The table of an episode's texts."""
    chunk, file = layout.place(number)
    return root / FOLDER / f"chunk-{chunk:03d}" / f"file-{file:03d}.parquet"


def table_of(answers: Mapping[str, Sequence[str]]) -> pa.Table:
    """The table of texts by kind, each text stored once."""
    return pa.table({kind: pa.array(list(texts), pa.string()).dictionary_encode() for kind, texts in answers.items()})


def check_answers(answers: Mapping[str, Sequence[str]], length: int, *, where: str) -> None:
    """Raise `ShapeError` unless every kind has a text a frame."""
    for kind, texts in answers.items():
        if len(texts) != length or not all(isinstance(text, str) for text in texts):
            raise ShapeError(f"{len(texts)} texts for {length} frames", file=where, leaf=f"answers.{kind}")


class Answers:
    """The texts of all episodes of a set, read when first asked for; frames are numbered as in the whole set."""

    def __init__(self, root: Path, rows: Sequence[EpisodeRow]) -> None:
        self._root, self._rows = root, tuple(rows)
        self._known: dict[str, tuple[tuple[str, ...], NDArray[np.int32]]] | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of text that the set holds. Raises `CorruptFileError`."""
        return tuple(kind for kind in self._read() if not kind.endswith(_ASKED))

    @property
    def asked(self) -> tuple[str, ...]:
        """Those that come with questions."""
        return tuple(kind for kind in self.kinds if kind + _ASKED in self._read())

    def texts(self, kind: str, frames: NDArray[np.int64]) -> tuple[str, ...]:
        """The texts of a kind. Raises `UnknownNameError` for one that the set does not hold."""
        return self._column(kind, "kind of answer", self.kinds, frames)

    def questions(self, kind: str, frames: NDArray[np.int64]) -> tuple[str, ...]:
        """What the texts of a kind answer. Raises `UnknownNameError` for one without questions."""
        found = self._column(kind + _ASKED, "kind of question", tuple(k + _ASKED for k in self.asked), frames)
        return found

    def _column(self, name: str, what: str, known: Sequence[str], frames: NDArray[np.int64]) -> tuple[str, ...]:
        if name not in known:
            raise unknown(what, name, known)
        words, codes = self._read()[name]
        return tuple(words[code] for code in codes[frames].tolist())

    def _read(self) -> dict[str, tuple[tuple[str, ...], NDArray[np.int32]]]:
        if self._known is None:
            tables = [_table(path_of(self._root, row.index), row) for row in self._rows]
            names = dict.fromkeys(name for table in tables for name in table)
            self._known = {name: _coded(tables, name, self._rows) for name in names}
        return self._known


def _table(path: Path, row: EpisodeRow) -> dict[str, list[str]]:
    if not path.exists():
        return {}
    table = read_table(path)
    if table.num_rows != row.length:
        raise CorruptFileError(f"{table.num_rows} texts for {row.length} frames", file=path)
    for name, kind in zip(table.column_names, table.schema.types, strict=True):
        text = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not pa.types.is_string(text) or table.column(name).null_count:
            raise CorruptFileError("is not a column of texts", file=path, leaf=name)
    return {name: table.column(name).to_pylist() for name in table.column_names}


def _coded(
    tables: Sequence[Mapping[str, list[str]]], name: str, rows: Sequence[EpisodeRow]
) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """The different texts of a column, and which of them each frame has; episodes without the column are silent."""
    numbers: dict[str, int] = {}
    codes: list[int] = []
    for table, row in zip(tables, rows, strict=True):
        codes += [numbers.setdefault(text, len(numbers)) for text in table.get(name, [""] * row.length)]
    return tuple(numbers), np.array(codes, dtype=np.int32)
