"""Files are old or new, never half; a disk that refuses gives a StorageError and leaves nothing behind."""

import errno
import json
import os
from pathlib import Path

import pytest

from embodia.core.errors import NotFiniteError, StorageError
from embodia.io import atomic
from embodia.io.jsonio import read_json_lines


def failing(kind: str, at: int):
    """A stand-in for the write system call: fails, or writes one byte less, at its `at`-th call."""
    calls = {"n": 0}

    def write(descriptor, data):
        calls["n"] += 1
        if calls["n"] == at and kind == "short":
            return os.write(descriptor, data[: max(1, len(data) // 2)])
        if calls["n"] == at:
            os.write(descriptor, data[: len(data) // 2])
            raise OSError(getattr(errno, kind), os.strerror(getattr(errno, kind)))
        return os.write(descriptor, data)

    return write


def test_write_replaces_and_makes_folders(tmp_path):
    path = tmp_path / "a" / "b.bin"
    atomic.write_bytes(path, b"one")
    atomic.write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["b.bin"]


def test_memoryview_of_wider_items_is_written_whole(tmp_path):
    import numpy as np

    array = np.arange(5, dtype=np.float64)
    atomic.write_bytes(tmp_path / "x", memoryview(array))
    assert (tmp_path / "x").read_bytes() == array.tobytes()


def test_json_is_sorted_indented_and_ends_in_a_newline(tmp_path):
    atomic.write_json(tmp_path / "x.json", {"b": 1, "a": [1.5, "ü"]})
    text = (tmp_path / "x.json").read_text()
    assert text == '{\n  "a": [\n    1.5,\n    "ü"\n  ],\n  "b": 1\n}\n'
    assert json.loads(text) == {"a": [1.5, "ü"], "b": 1}


def test_json_refuses_nan_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "x.json"
    atomic.write_json(path, {"a": 1})
    with pytest.raises(NotFiniteError) as caught:
        atomic.write_json(path, {"a": float("nan")})
    assert str(path) in str(caught.value)
    assert json.loads(path.read_text()) == {"a": 1}


@pytest.mark.parametrize("kind", ["ENOSPC", "EIO"])
def test_failed_write_keeps_the_old_file_and_names_it(tmp_path, monkeypatch, kind):
    path = tmp_path / "x.bin"
    atomic.write_bytes(path, b"old")
    monkeypatch.setattr(atomic, "_write_some", failing(kind, 1))
    with pytest.raises(StorageError) as caught:
        atomic.write_bytes(path, b"new bytes")
    assert caught.value.file == str(path)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.bin"]


def test_short_write_is_continued(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "_write_some", failing("short", 1))
    atomic.write_bytes(tmp_path / "x", b"0123456789")
    assert (tmp_path / "x").read_bytes() == b"0123456789"


@pytest.mark.parametrize("at", [1, 2])
def test_failed_sync_is_a_storage_error(tmp_path, monkeypatch, at):
    calls = []

    def sync(descriptor):
        calls.append(descriptor)
        if len(calls) == at:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(atomic, "_sync", sync)
    with pytest.raises(StorageError):
        atomic.write_bytes(tmp_path / "x", b"data")
    assert not list(tmp_path.glob(".*"))


def test_every_file_and_its_folder_are_synced_before_and_after_the_rename(tmp_path, monkeypatch):
    events = []

    monkeypatch.setattr(
        atomic,
        "_sync",
        lambda fd: events.append((str(Path(f"/proc/self/fd/{fd}").readlink()), (tmp_path / "x").exists())),
    )
    atomic.write_bytes(tmp_path / "x", b"data")

    assert len(events) == 2
    assert events[0][0].endswith(".tmp") and events[0][1] is False
    assert events[1] == (str(tmp_path), True)


def test_not_durable_does_not_sync(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "_sync", lambda fd: pytest.fail("synced"))
    atomic.write_bytes(tmp_path / "x", b"data", durable=False)
    assert (tmp_path / "x").read_bytes() == b"data"


def test_replace_folder_appears_whole(tmp_path):
    with atomic.replace_folder(tmp_path / "out") as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_text("1")
        assert not (tmp_path / "out").exists()
    assert (tmp_path / "out" / "sub" / "file").read_text() == "1"
    with atomic.replace_folder(tmp_path / "out") as folder:
        (folder / "other").write_text("2")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["other"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_replace_folder_leaves_nothing_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), atomic.replace_folder(tmp_path / "out") as folder:
        (folder / "file").write_text("1")
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []


def test_append_line_cuts_a_torn_tail(tmp_path):
    path = tmp_path / "m.jsonl"
    atomic.append_line(path, '{"step": 1}')
    with path.open("ab") as file:
        file.write(b'{"step": 2, "lo')
    assert read_json_lines(path) == [{"step": 1}]
    atomic.append_line(path, '{"step": 3}')
    assert path.read_bytes() == b'{"step": 1}\n{"step": 3}\n'


def test_failed_append_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "m.jsonl"
    atomic.append_line(path, "one")
    monkeypatch.setattr(atomic, "_write_some", failing("ENOSPC", 1))
    with pytest.raises(StorageError):
        atomic.append_line(path, "a second line")
    assert path.read_bytes() == b"one\n"


def test_sweep_removes_only_what_a_kill_left(tmp_path):
    atomic.write_bytes(tmp_path / "deep" / "keep.tmp.txt", b"1")
    (tmp_path / "deep" / ".x.abcd.tmp").write_bytes(b"half")
    (tmp_path / ".f.0123.tmp").mkdir()
    (tmp_path / ".f.0123.tmp" / "inside").write_bytes(b"half")
    assert atomic.sweep(tmp_path) == 2
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["deep", "keep.tmp.txt"]


def test_a_file_where_a_folder_is_needed_is_a_storage_error(tmp_path):
    (tmp_path / "f").write_text("")
    with pytest.raises(StorageError):
        atomic.write_bytes(tmp_path / "f" / "g", b"")
    with pytest.raises(StorageError):
        atomic.make_folder(tmp_path / "f" / "g")
