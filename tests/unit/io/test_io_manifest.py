"""Every changed, missing or cut file is found; complete and latest need no contents."""

import hashlib
import json

import pytest

from embodia.core.errors import CorruptFileError, MissingFileError, VersionError
from embodia.io import manifest


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "step-000010"
    (root / "sub").mkdir(parents=True)
    (root / "a.bin").write_bytes(bytes(range(100)))
    (root / "sub" / "b.txt").write_text("hello")
    manifest.write_manifest(root)
    return root


def test_lists_sizes_and_checksums(folder):
    files = json.loads((folder / "manifest.json").read_text())["files"]
    assert files == {
        "a.bin": {"bytes": 100, "sha256": hashlib.sha256(bytes(range(100))).hexdigest()},
        "sub/b.txt": {"bytes": 5, "sha256": hashlib.sha256(b"hello").hexdigest()},
    }
    manifest.verify(folder)
    assert manifest.complete(folder)


@pytest.mark.parametrize("position", range(0, 100, 7))
def test_any_flipped_bit_is_found(folder, position):
    data = bytearray((folder / "a.bin").read_bytes())
    data[position] ^= 1 << (position % 8)
    (folder / "a.bin").write_bytes(data)
    with pytest.raises(CorruptFileError) as caught:
        manifest.verify(folder)
    assert caught.value.file.endswith("a.bin")


def test_truncated_and_missing_files_are_found(folder):
    (folder / "sub" / "b.txt").write_text("hell")
    with pytest.raises(CorruptFileError, match=r"b\.txt"):
        manifest.verify(folder)
    assert not manifest.complete(folder)
    (folder / "sub" / "b.txt").unlink()
    with pytest.raises(MissingFileError, match=r"b\.txt"):
        manifest.verify(folder)
    assert not manifest.complete(folder)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "sub/../../x"])
def test_a_path_that_escapes_is_refused(folder, name):
    text = json.loads((folder / "manifest.json").read_text())
    text["files"][name] = {"bytes": 0, "sha256": ""}
    (folder / "manifest.json").write_text(json.dumps(text))
    with pytest.raises(CorruptFileError, match="outside"):
        manifest.verify(folder)


@pytest.mark.parametrize("text", ["[]", "{}", '{"format": 1, "files": {"a": 3}}', "not json", ""])
def test_a_broken_manifest_is_a_typed_error(folder, text):
    (folder / "manifest.json").write_text(text)
    with pytest.raises(CorruptFileError):
        manifest.verify(folder)


def test_unknown_version(folder):
    (folder / "manifest.json").write_text('{"format": 99, "files": {}}')
    with pytest.raises(VersionError):
        manifest.verify(folder)


def test_latest_is_the_last_complete_folder_by_number(tmp_path):
    for step in (9, 10, 100):
        root = tmp_path / f"step-{step}"
        root.mkdir()
        (root / "w").write_bytes(b"1234")
        manifest.write_manifest(root)
    assert manifest.latest(tmp_path).name == "step-100"
    (tmp_path / "step-100" / "manifest.json").unlink()
    assert manifest.latest(tmp_path).name == "step-10"
    (tmp_path / "step-10" / "w").write_bytes(b"12")
    assert manifest.latest(tmp_path).name == "step-9"
    assert manifest.latest(tmp_path / "nothing") is None
