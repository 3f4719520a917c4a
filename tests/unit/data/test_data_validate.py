"""The validator finds each planted fault, names its file, and is silent about clean sets."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pytest
from data_fakes import contract, episode, provenance

from embodia.data.recorder import Recorder
from embodia.data.validate import validate
from embodia.io.jsonio import read_json
from embodia.io.table import read_table, write_table
from embodia.io.video import encode

DATA = "data/chunk-000/file-001.parquet"
ROW = "meta/episodes/chunk-000/file-001.parquet"
FRONT = "videos/observation.images.front/chunk-000/file-001.mp4"
WRIST = "videos/observation.images.wrist/chunk-000/file-001.mp4"
INDEX = "videos/observation.images.front/chunk-000/file-001.index.json"


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    root = tmp_path_factory.mktemp("clean") / "set"
    with Recorder(root, contract=contract(), provenance=provenance(), cache_bytes=0) as recorder:
        for seed in range(4):
            recorder.record(episode(seed, length=12 + seed))
    return root


@pytest.fixture
def root(clean, tmp_path):
    shutil.copytree(clean, tmp_path / "set")
    return tmp_path / "set"


def column(root, name, change, file=DATA, checksum=True):
    """Change a column; the checksum in the row is brought up to date, so that it cannot be what finds the fault."""
    table = read_table(root / file)
    place = table.column_names.index(name)
    values = change(table.column(name).combine_chunks())
    write_table(root / file, table.set_column(place, name, values))
    if checksum and file == DATA:
        fix_checksum(root, "embodia/sha256", DATA)


def fix_checksum(root, name, file):
    from embodia.io.manifest import sha256

    column(root, name, lambda _: pa.array([sha256(root / file)]), ROW)


def vectors(values):
    return pa.FixedSizeListArray.from_arrays(pa.array(values.astype(np.float32).ravel()), values.shape[1])


def matrix(array):
    return np.asarray(array.flatten()).reshape(len(array), -1).copy()


def with_nan(array):
    values = matrix(array)
    values[2, 1] = np.nan
    return vectors(values)


def edit(root, file, change):
    plain = read_json(root / file)
    change(plain)
    (root / file).write_text(json.dumps(plain))


def new_video(root, file, frames, checksum=True):
    encode(root / file, frames, 20.0).save((root / file).with_suffix(".index.json"))
    if checksum:
        fix_checksum(root, f"embodia/sha256/{file.split('/')[1]}", file)


def shift(by):
    return lambda array: pa.array(np.asarray(array) + np.asarray(by, dtype=np.asarray(array).dtype))


def number(value):
    return lambda array: pa.array([value] * len(array), array.type)


def swap(root, a, b):
    first, second = (root / a).read_bytes(), (root / b).read_bytes()
    (root / a).write_bytes(second)
    (root / b).write_bytes(first)


def swapped_cameras(root):
    swap(root, FRONT, WRIST)
    swap(root, INDEX, INDEX.replace("front", "wrist"))


def flip(root, file, at=-40):
    data = bytearray((root / file).read_bytes())
    data[at] ^= 4
    (root / file).write_bytes(data)


def frames_of(seed, length):
    return episode(seed, length=length).frames["front"]


def duplicate(root):
    with Recorder(root, contract=contract(), provenance=provenance(), cache_bytes=0) as recorder:
        recorder.record(episode(1, length=13))


def stuck_state(root):
    with Recorder(root, contract=contract(), provenance=provenance(), cache_bytes=0) as recorder:
        recorder.record(episode(9, state=np.ones((12, 4), np.float32)))


def out_of_range(root):
    with Recorder(root, contract=contract(), provenance=provenance(), cache_bytes=0) as recorder:
        recorder.record(episode(9, actions=np.full((12, 4), 57.3, np.float32)))


def still_camera(root):
    still = {name: np.repeat(frames[:1], 12, 0) for name, frames in episode(9).frames.items()}
    with Recorder(root, contract=contract(), provenance=provenance(), cache_bytes=0) as recorder:
        recorder.record(episode(9, frames=still))


def cut(root, file, share=0.5):
    data = (root / file).read_bytes()
    (root / file).write_bytes(data[: int(len(data) * share)])


def stale_index(root):
    plain = read_json(root / INDEX)
    plain["offset"][3] += 1
    (root / INDEX).write_text(json.dumps(plain))


FAULTS = {
    "nan in actions": (lambda r: column(r, "action", with_nan), "not_finite", DATA),
    "nan in state": (lambda r: column(r, "observation.state", with_nan), "not_finite", DATA),
    "dimension lost": (lambda r: column(r, "action", lambda a: vectors(matrix(a)[:, :3])), "wrong_shape", DATA),
    "clock drifts": (lambda r: column(r, "timestamp", shift(np.arange(13) * 1e-3)), "drift", DATA),
    "clock jumps": (lambda r: column(r, "timestamp", shift([0] * 6 + [0.05] * 7)), "drift", DATA),
    "clock in milliseconds": (lambda r: column(r, "timestamp", lambda a: pa.array(np.asarray(a) * 1e3)), "drift", DATA),
    "frame numbers off by one": (lambda r: column(r, "frame_index", shift(1)), "gap", DATA),
    "frame lost": (lambda r: write_table(r / DATA, read_table(r / DATA).slice(1)), "corrupt", DATA),
    "wrong episode number": (lambda r: column(r, "episode_index", shift(1)), "corrupt", DATA),
    "wrong sentence": (lambda r: column(r, "task_index", number(0)), "wrong_task", DATA),
    "sentence number beyond the table": (lambda r: column(r, "task_index", number(99)), "wrong_task", DATA),
    "table cut": (lambda r: cut(r, DATA), "corrupt", DATA),
    "table missing": (lambda r: (r / DATA).unlink(), "missing_file", DATA),
    "tables swapped": (lambda r: swap(r, DATA, DATA.replace("001", "002")), "corrupt", DATA),
    "column missing": (
        lambda r: write_table(r / DATA, read_table(r / DATA).drop_columns(["timestamp"])),
        "corrupt",
        DATA,
    ),
    "numbers changed later": (
        lambda r: column(r, "observation.state", lambda a: vectors(matrix(a) + 1e-6), checksum=False),
        "checksum",
        DATA,
    ),
    "mean wrong": (
        lambda r: edit(r, "meta/stats.json", lambda p: p["action"]["mean"].__setitem__(0, 0.4)),
        "wrong_statistics",
        "meta/stats.json",
    ),
    "spread of another set": (
        lambda r: edit(r, "meta/stats.json", lambda p: p["action"].__setitem__("std", [9.0] * 4)),
        "wrong_statistics",
        "meta/stats.json",
    ),
    "quantile wrong": (
        lambda r: edit(r, "meta/stats.json", lambda p: p["action"]["q99"].__setitem__(1, 0.1)),
        "wrong_statistics",
        "meta/stats.json",
    ),
    "statistics missing": (lambda r: (r / "meta/stats.json").unlink(), "missing_file", "meta/stats.json"),
    "episodes miscounted": (
        lambda r: edit(r, "meta/info.json", lambda p: p.update(total_episodes=5)),
        "wrong_count",
        "meta/info.json",
    ),
    "frames miscounted": (
        lambda r: edit(r, "meta/info.json", lambda p: p.update(total_frames=1)),
        "wrong_count",
        "meta/info.json",
    ),
    "rate wrong": (lambda r: edit(r, "meta/info.json", lambda p: p.update(fps=30)), "wrong_contract", "meta/info.json"),
    "names of dimensions swapped": (
        lambda r: edit(r, "meta/info.json", lambda p: p["features"]["action"]["names"].reverse()),
        "wrong_contract",
        "meta/info.json",
    ),
    "other layout": (
        lambda r: edit(r, "meta/info.json", lambda p: p.update(codebase_version="v2.1")),
        "wrong_version",
        "meta/info.json",
    ),
    "sentences missing": (lambda r: (r / "meta/tasks.parquet").unlink(), "missing_file", "meta/tasks.parquet"),
    "episode row missing": (lambda r: (r / ROW).unlink(), "corrupt", "meta/episodes"),
    "episode row cut": (lambda r: cut(r, ROW), "corrupt", ROW),
    "video missing": (lambda r: (r / FRONT).unlink(), "missing_file", FRONT),
    "video cut": (lambda r: cut(r, FRONT), "corrupt", FRONT),
    "video empty": (lambda r: (r / FRONT).write_bytes(b""), "corrupt", FRONT),
    "one bit of a video": (lambda r: flip(r, FRONT, 400), "checksum", FRONT),
    "cameras swapped": (swapped_cameras, "checksum", FRONT),
    "videos swapped": (lambda r: swap(r, FRONT, FRONT.replace("001", "003")), "wrong_frames", FRONT),
    "video a frame short": (lambda r: new_video(r, FRONT, frames_of(1, 12)), "wrong_frames", FRONT),
    "video of another size": (
        lambda r: new_video(r, FRONT, episode(1, length=13, size=64).frames["front"]),
        "wrong_shape",
        FRONT,
    ),
    "video at another rate": (
        lambda r: (
            encode(r / FRONT, frames_of(1, 13), 10.0),
            fix_checksum(r, f"embodia/sha256/{FRONT.split('/')[1]}", FRONT),
        ),
        "drift",
        FRONT,
    ),
    "index of another video": (stale_index, "wrong_index", INDEX),
    "video of no episode": (lambda r: shutil.copy(r / FRONT, r / FRONT.replace("001", "009")), "leftover", "009"),
    "same episode twice": (duplicate, "duplicate", "data/chunk-000/file-004.parquet"),
    "state never changes": (stuck_state, "stuck", "data/chunk-000/file-004.parquet"),
    "camera never changes": (still_camera, "stuck", "file-004.mp4"),
    "actions in degrees": (out_of_range, "out_of_range", "data/chunk-000/file-004.parquet"),
    "contract of another format": (
        lambda r: edit(r, "meta/embodia.json", lambda p: p.update(format=7)),
        "wrong_version",
        "meta/embodia.json",
    ),
}


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_planted_fault_is_found_and_named(root, name):
    damage, kind, file = FAULTS[name]
    damage(root)
    found = validate(root, decode=True)
    hits = [finding for finding in found if finding.kind == kind and file in finding.file]
    assert hits, [str(finding) for finding in found]


@pytest.mark.parametrize("seed", range(6))
def test_clean_sets_raise_no_alarm(tmp_path, seed):
    rng = np.random.default_rng(seed)
    with Recorder(tmp_path / "set", contract=contract(), provenance=provenance(), cache_bytes=0) as recorder:
        for number in range(rng.integers(1, 5)):
            recorder.record(episode(100 * seed + number, length=int(rng.integers(1, 40))))
    assert [str(finding) for finding in validate(tmp_path / "set", decode=True)] == []


def test_progress_is_told_and_findings_read_well(root):
    stages = []
    (root / FRONT).unlink()
    found = validate(root, progress=lambda what, done, total: stages.append((what, done, total)))
    assert stages[0][1] == 0 and stages[-1][1] == stages[-1][2]
    assert str(found[0]).startswith("error [missing_file] ") and FRONT in str(found[0])


def test_nothing_there(tmp_path):
    assert [finding.kind for finding in validate(tmp_path / "none")] == ["missing_file"]


def test_a_foreign_set_needs_its_contract(root):
    (root / "meta/embodia.json").unlink()
    assert [finding.kind for finding in validate(root)] == ["wrong_contract"]
    assert validate(root, contract=contract()) == []


def test_a_missing_index_is_no_fault(root):
    (root / INDEX).unlink()
    assert validate(root, decode=True) == []
