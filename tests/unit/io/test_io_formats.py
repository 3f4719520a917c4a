"""JSON, tensors and tables: round trips, and typed errors for bad bytes."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from embodia.core.errors import CorruptFileError, DataError, MissingFileError, ShapeError
from embodia.io.jsonio import read_json, read_json_lines
from embodia.io.table import read_table, write_table
from embodia.io.tensors import load_metadata, load_tensors, save_tensors


def test_json_errors_name_the_file(tmp_path):
    with pytest.raises(MissingFileError, match=r"x\.json"):
        read_json(tmp_path / "x.json")
    for text in (b"{", b"\xff\xfe", b"[" * 100_000):
        (tmp_path / "x.json").write_bytes(text)
        with pytest.raises(CorruptFileError, match=r"x\.json"):
            read_json(tmp_path / "x.json")
    with pytest.raises(CorruptFileError):
        read_json(tmp_path)


def test_json_lines_tolerate_a_torn_tail_only(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": 2}\n{"a"')
    assert read_json_lines(path) == [{"a": 1}, {"a": 2}]
    path.write_bytes(b'{"a": 1}\n{"a"\n{"a": 2}\n')
    with pytest.raises(CorruptFileError, match="line 2"):
        read_json_lines(path)


def test_numpy_round_trip(tmp_path):
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "t": np.arange(6, dtype=np.int64).reshape(2, 3).T,
        "scalar": np.array(3, dtype=np.uint8),
        "none": np.zeros((0, 4), dtype=np.float64),
        "flag": np.array([True, False]),
    }
    save_tensors(tmp_path / "x.safetensors", arrays, {"step": "7"})
    loaded = load_tensors(tmp_path / "x.safetensors")
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array)
        assert loaded[name].dtype == array.dtype and loaded[name].shape == array.shape
    assert load_metadata(tmp_path / "x.safetensors") == {"step": "7"}


def test_torch_round_trip_with_views_and_shared_memory(tmp_path):
    base = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    tensors = {"a": base, "tied": base, "view": base[1:], "turned": base.T, "half": base.to(torch.bfloat16)}
    tensors["parameter"] = torch.nn.Parameter(torch.ones(2))
    save_tensors(tmp_path / "x.safetensors", tensors)
    loaded = load_tensors(tmp_path / "x.safetensors", framework="torch")
    for name, tensor in tensors.items():
        assert torch.equal(loaded[name], tensor.detach()), name
        assert loaded[name].dtype == tensor.dtype


@pytest.mark.parametrize("value", ["text", np.array([object()]), np.array(["a"])])
def test_what_is_no_tensor_is_refused_and_leaves_no_file(tmp_path, value):
    with pytest.raises(ShapeError):
        save_tensors(tmp_path / "x.safetensors", {"a": value})
    assert list(tmp_path.iterdir()) == []


def test_bad_tensor_files_are_typed_errors(tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(MissingFileError):
        load_tensors(path)
    save_tensors(path, {"a": np.arange(100)})
    good = path.read_bytes()
    for bad in (b"", good[:4], good[:50], good[:-8], b"\xff" * 200, good + b"tail"):
        path.write_bytes(bad)
        with pytest.raises(CorruptFileError, match=r"x\.safetensors"):
            load_tensors(path)


def test_mutated_tensor_files_never_surprise(tmp_path):
    path = tmp_path / "x.safetensors"
    save_tensors(path, {"a": np.arange(10), "b": np.ones((2, 2))})
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(500):
        bad = bytearray(good)
        for _ in range(rng.integers(1, 5)):
            bad[rng.integers(0, len(bad) - 112)] = rng.integers(0, 256)
        path.write_bytes(bad)
        try:
            load_tensors(path)
        except DataError:
            refused += 1
    assert refused > 300


def test_table_round_trip_and_columns(tmp_path):
    table = pa.table({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    write_table(tmp_path / "t.parquet", table)
    assert read_table(tmp_path / "t.parquet").equals(table)
    assert read_table(tmp_path / "t.parquet", ["b"]).column_names == ["b"]
    with pytest.raises(CorruptFileError, match="'c'"):
        read_table(tmp_path / "t.parquet", ["c"])


def test_bad_tables_are_typed_errors(tmp_path):
    path = tmp_path / "t.parquet"
    with pytest.raises(MissingFileError):
        read_table(path)
    write_table(path, pa.table({"a": list(range(1000))}))
    good = path.read_bytes()
    for bad in (b"", good[:20], good[:-5], b"PAR1" + b"\0" * 50):
        path.write_bytes(bad)
        with pytest.raises(CorruptFileError, match=r"t\.parquet"):
            read_table(path)


def test_mutated_tables_never_surprise(tmp_path):
    path = tmp_path / "t.parquet"
    write_table(path, pa.table({"a": list(range(50)), "s": [str(i) for i in range(50)]}))
    good = path.read_bytes()
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(300):
        bad = bytearray(good)
        for _ in range(rng.integers(1, 8)):
            bad[rng.integers(0, len(bad))] = rng.integers(0, 256)
        path.write_bytes(bad)
        try:
            read_table(path)
        except DataError:
            refused += 1
    assert refused > 50
