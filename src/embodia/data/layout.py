"""Where things lie in a data set on disk: LeRobot's v3 layout, with one episode in its own files.

Another reader needs `meta/info.json`, `meta/tasks.parquet`, `meta/episodes`, `data` and `videos`; what this library
adds lies in `meta/embodia.json`, in `embodia/...` columns and in a frame index beside each video. Watch out: a feature
of one number is a plain column there, not a list of one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embodia.core.specs import ActionPart, Contract, SenseSpec, StatePart
from embodia.io.video import PROFILES

LAYOUT_VERSION = "v3.0"
FILES_PER_CHUNK = 1000
INFO = "meta/info.json"
STATS = "meta/stats.json"
TASKS = "meta/tasks.parquet"
EXTRA = "meta/embodia.json"
CACHE = ".frames"
STATE = "observation.state"
ACTION = "action"
REWARD = "next.reward"
NUMBERED_SENSES = ("touch", "wrench")
"""Senses of few numbers: each has a name and statistics, as the state has."""
COUNTERS = ("timestamp", "frame_index", "episode_index", "index", "task_index")


def place(number: int) -> tuple[int, int]:
    """(chunk, file) of the number-th file of a kind."""
    return number // FILES_PER_CHUNK, number % FILES_PER_CHUNK


def data_path(root: Path, chunk: int, file: int) -> Path:
    """The table of frames."""
    return root / f"data/chunk-{chunk:03d}/file-{file:03d}.parquet"


def episodes_path(root: Path, chunk: int, file: int) -> Path:
    """The table of episodes; that this file exists is what makes an episode part of the set."""
    return root / f"meta/episodes/chunk-{chunk:03d}/file-{file:03d}.parquet"


def video_path(root: Path, key: str, chunk: int, file: int) -> Path:
    """The video of one camera."""
    return root / f"videos/{key}/chunk-{chunk:03d}/file-{file:03d}.mp4"


def index_path(video: Path) -> Path:
    """The frame index beside a video."""
    return video.with_suffix(".index.json")


def image_key(camera: str) -> str:
    """The feature name of a camera."""
    return f"observation.images.{camera}"


def sense_key(sense: SenseSpec) -> str:
    """The feature name of a sense; its column holds the numbers of one time step in a row."""
    return f"observation.{sense.key}"


def dimension_names(parts: Iterable[StatePart | ActionPart]) -> tuple[str, ...]:
    """One name a dimension: the part's name, numbered where it has several."""
    return tuple(part.name if part.dim == 1 else f"{part.name}_{i}" for part in parts for i in range(part.dim))


def vector_features(contract: Contract) -> dict[str, tuple[str, ...]]:
    """Features of float32 vectors: name -> one name a dimension. A body without proprioception has no
    state, one whose actions are not recorded has no action."""
    found = {STATE: dimension_names(contract.observation.state), ACTION: dimension_names(contract.action.parts)}
    for sense in contract.observation.senses:
        if sense.name in NUMBERED_SENSES:
            found[sense_key(sense)] = tuple(f"{sense.name}_{i}" for i in range(sense.size))
    return {name: names for name, names in found.items() if names}


def short_name(feature: str) -> str:
    """What the statistics of a vector feature are called: "state", "action", "touch", "wrench"."""
    return feature.removeprefix("observation.")


def wide_features(contract: Contract) -> dict[str, int]:
    """Features of many numbers, without names and statistics (depth, points, audio): name -> how many a time step."""
    wide = (sense for sense in contract.observation.senses if sense.name not in NUMBERED_SENSES)
    return {sense_key(sense): sense.size for sense in wide}


def info(contract: Contract, *, episodes: int, frames: int, tasks: int, profile: str) -> dict[str, Any]:
    """The contents of `meta/info.json`."""
    rate = contract.observation.rate_hz
    return {
        "codebase_version": LAYOUT_VERSION,
        "fps": int(rate) if float(rate).is_integer() else rate,
        "features": _features(contract, profile),
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": tasks,
        "chunks_size": FILES_PER_CHUNK,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "robot_type": contract.embodiment,
        "splits": {"train": f"0:{episodes}"},
    }


def frame_table(
    vectors: Mapping[str, NDArray[np.float32]], rewards: NDArray[np.float32], counters: Mapping[str, NDArray[Any]]
) -> pa.Table:
    """The table of an episode's frames."""
    columns = {name: _vector_column(values) for name, values in vectors.items()}
    columns[REWARD] = pa.array(rewards.astype(np.float32))
    return pa.table(columns | {name: pa.array(values) for name, values in counters.items()})


def counters(length: int, *, episode: int, first: int, task: int, rate_hz: float) -> dict[str, NDArray[Any]]:
    """The counting columns of an episode of `length` frames whose first frame has the running number `first`."""
    frame = np.arange(length, dtype=np.int64)
    return {
        "timestamp": (frame / rate_hz).astype(np.float32),
        "frame_index": frame,
        "episode_index": np.full(length, episode, dtype=np.int64),
        "index": frame + first,
        "task_index": np.full(length, task, dtype=np.int64),
    }


def tasks_table(instructions: Sequence[str]) -> pa.Table:
    """The table of instructions, marked so that pandas takes the sentences as the index."""
    table = pa.table({"task_index": pa.array(range(len(instructions)), pa.int64()), "task": list(instructions)})
    described = [_pandas_column("task_index", "int64", "int64"), _pandas_column("task", "unicode", "object")]
    facts = {
        "index_columns": ["task"],
        "column_indexes": [_pandas_column(None, "unicode", "object", {"encoding": "UTF-8"})],
        "columns": described,
        "attributes": {},
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.3.3",
    }
    return table.replace_schema_metadata({"pandas": json.dumps(facts)})


def _features(contract: Contract, profile: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: {"dtype": "float32", "shape": [len(names)], "names": list(names)}
        for name, names in vector_features(contract).items()
    }
    for name, size in wide_features(contract).items():
        found[name] = {"dtype": "float32", "shape": [size], "names": None}
    for camera in contract.observation.cameras:
        shape = [camera.height, camera.width, 3]
        names = ["height", "width", "channels"]
        facts = _video_facts(camera.height, camera.width, contract.observation.rate_hz, profile)
        found[image_key(camera.name)] = {"dtype": "video", "shape": shape, "names": names, "info": facts}
    found[REWARD] = {"dtype": "float32", "shape": [1], "names": None}
    kinds = {"timestamp": "float32"}
    return found | {name: {"dtype": kinds.get(name, "int64"), "shape": [1], "names": None} for name in COUNTERS}


def _video_facts(height: int, width: int, rate_hz: float, profile: str) -> dict[str, Any]:
    chosen = PROFILES[profile]
    return {
        "video.height": height,
        "video.width": width,
        "video.codec": "h264",
        "video.pix_fmt": "gbrp" if chosen.pixel_format == "rgb24" else chosen.pixel_format,
        "video.fps": rate_hz,
        "video.channels": 3,
        "video.g": chosen.gop,
        "video.crf": chosen.quality,
        "video.preset": chosen.preset,
        "has_audio": False,
        "is_depth_map": False,
    }


def _vector_column(values: NDArray[np.float32]) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).reshape(-1))
    return flat if values.shape[1] == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _pandas_column(name: str | None, pandas: str, numpy: str, metadata: object = None) -> dict[str, Any]:
    return {"name": name, "field_name": name, "pandas_type": pandas, "numpy_type": numpy, "metadata": metadata}
