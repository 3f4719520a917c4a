"""Parquet tables: read whole, written whole and atomically."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from embodia.core.errors import CorruptFileError, MissingFileError
from embodia.io.atomic import write_bytes


def read_table(path: str | Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The table in a parquet file, or some of its columns.

    Raises `MissingFileError`, or `CorruptFileError` for a file without a footer, with bad pages or without a column.
    """
    try:
        file = pq.ParquetFile(str(path), page_checksum_verification=True)
        table = file.read(list(columns) if columns is not None else None, use_threads=False)
    except FileNotFoundError as error:
        raise MissingFileError("file does not exist", file=path) from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CorruptFileError(f"is not a readable parquet file: {_first_line(error)}", file=path) from error
    for name in columns or ():
        if name not in table.column_names:
            raise CorruptFileError(f"has no column {name!r}", file=path, leaf=name)
    return table


def write_table(path: str | Path, table: pa.Table, *, durable: bool = True) -> None:
    """Write a parquet file (snappy, every page with a checksum). Raises `StorageError`."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="snappy", write_page_checksum=True)
    write_bytes(path, memoryview(sink.getvalue()), durable=durable)


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
