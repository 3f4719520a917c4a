"""Data sets across programs: LeRobot 0.6.1 reads ours, and we read its own, frame for frame."""

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from embodia.core.provenance import Provenance
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, SenseSpec, StatePart
from embodia.data.dataset import Dataset
from embodia.data.episode import EpisodeData
from embodia.data.readers.lerobot import contract_of
from embodia.data.recorder import Recorder
from embodia.data.validate import validate

sys.path.insert(0, str(Path(__file__).parent))
from peer import run_script, store

CHUNK = 6
BACKENDS = ("torchcodec", "pyav")
CAMERAS = ("front", "wrist")
TASKS = ("push the puck to the goal", "open the drawer")
LARGEST_STEP = 2
SENSES = (
    SenseSpec(name="depth", shape=(8, 9), units="m", camera="front"),
    SenseSpec(name="points", shape=(20, 6), units="m"),
    SenseSpec(name="touch", shape=(2, 3), units="N"),
)


def contract(dim: int) -> Contract:
    cameras = tuple(CameraSpec(name=name, height=64, width=64) for name in CAMERAS)
    parts = (ActionPart(name="move", dim=dim, representation="ee_position_delta"),) if dim else ()
    return Contract(
        observation=ObservationSpec(
            cameras=cameras, state=(StatePart(name="hand", dim=5, units="m"),), rate_hz=20, senses=SENSES
        ),
        action=ActionSpec(parts=parts, rate_hz=20),
        embodiment="arm",
    )


def record(root: Path, video: str, dim: int) -> None:
    origin = Provenance(environment="none", profile="faithful", cameras=CAMERAS)
    rng = np.random.default_rng(dim)
    with Recorder(root, contract=contract(dim), provenance=origin, video=video) as recorder:
        for number, length in enumerate((21, 13, 30)):
            frames = {}
            for name in CAMERAS:
                base = np.kron(rng.integers(0, 256, (8, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
                frames[name] = np.repeat(base[None], length, 0)
                for i in range(length):
                    frames[name][i, i : i + 10, 20:30] = (255, 0, 0)
            recorder.record(EpisodeData(
                frames=frames,
                state=rng.normal(size=(length, 5)).astype(np.float32),
                actions=rng.uniform(-1, 1, (length, dim)).astype(np.float32),
                instruction=TASKS[number % 2],
                task="push",
                seed=number,
                success=True,
                senses={item.key: rng.normal(size=(length, *item.shape)).astype(np.float32) for item in SENSES},
            ))  # fmt: skip


def compare(ours: Dataset, theirs: dict[str, np.ndarray]) -> dict[str, float]:
    """Assert that the numbers are equal; the largest difference of pictures."""
    batch = ours.batch(np.arange(ours.frames), CHUNK)
    assert theirs["count"].tolist()[:2] == [ours.frames, len(ours.episodes)]
    np.testing.assert_array_equal(theirs["state"], batch.observation.state[:, 0])
    np.testing.assert_array_equal(theirs["actions"].reshape(batch.chunk.actions.shape), batch.chunk.actions)
    np.testing.assert_array_equal(theirs["padded"], ~batch.chunk.valid)
    np.testing.assert_array_equal(theirs["time_s"].ravel(), batch.observation.time_s[:, 0].astype(np.float32))
    assert tuple(theirs["task"].tolist()) == batch.observation.instruction
    np.testing.assert_array_equal(theirs["episode"], ours.locate(np.arange(ours.frames))[0])
    np.testing.assert_allclose(theirs["mean"], ours.statistics["action"].mean, rtol=1e-5, atol=1e-6)
    for sense in ours.contract.observation.senses:
        felt = batch.observation.sense(sense)
        np.testing.assert_array_equal(theirs[f"observation.{sense.key}"].reshape(felt[:, 0].shape), felt[:, 0])
    pictures = batch.observation.images
    return {
        name: int(np.abs(theirs[f"observation.images.{name}"].astype(int) - pictures[name][:, 0]).max())
        for name in pictures
    }


@pytest.mark.long
def test_each_reads_what_the_other_wrote(tmp_path):
    ours = {"train": ("train", 4), "lossless": ("lossless", 1), "small": ("small", 7)}
    for name, (video, dim) in ours.items():
        record(tmp_path / name, video, dim)
        assert validate(tmp_path / name) == []
    spec = {"size": 64, "dof": 6, "cameras": CAMERAS, "fps": 30, "lengths": [14, 9, 12], "tasks": TASKS, "seed": 3}
    peers = {f"peer-{codec}": spec | {"codec": codec} for codec in ("libsvtav1", "h264")}
    jobs = [(name, backend) for name in (*ours, *peers) for backend in BACKENDS]
    request = {
        "write": {str(tmp_path / name): spec for name, spec in peers.items()},
        "read": [(str(tmp_path / name), backend) for name, backend in jobs],
        "chunk": CHUNK,
    }
    run_script("peer_reader.py", request, tmp_path)
    pixels = {}
    for number, (name, backend) in enumerate(jobs):
        root = tmp_path / name
        meaning = None
        if name in peers:
            action = (ActionPart(name="joint", dim=6, representation="joint_position", units="rad", low=-9, high=9),)
            meaning = contract_of(root, action=action)
            assert validate(root, contract=meaning) == []
        with np.load(tmp_path / f"read-{number}.npz") as theirs:
            found = compare(Dataset.open(root, contract=meaning), dict(theirs))
        pixels[f"{name}, {backend}"] = max(found.values())
    for name in ("train", "lossless"):
        assert all(pixels[f"{name}, {backend}"] == 0 for backend in BACKENDS), pixels
    assert max(pixels.values()) <= LARGEST_STEP, pixels
    store("parity_lerobot_reader.json", {
        "peer": "lerobot 0.6.1, LeRobotDataset with its torchcodec and pyav backends",
        "largest_pixel_difference": pixels,
        "largest_absolute_difference": {"state": 0, "actions": 0, "padding": 0, "timestamp": 0, "task": 0},
        "tolerance": {"train, lossless": 0, "other colour spaces": LARGEST_STEP},
        "n": sum((64, 64, 64, 35, 35)) * len(CAMERAS) * len(BACKENDS),
        "command": "EMBODIA_STORE_RESULTS=1 python -m pytest -m long tests/parity/test_parity_lerobot_reader.py",
        "versions": {"av": version("av"), "pyarrow": version("pyarrow"), "lerobot": "0.6.1"},
        "seed": 3,
        "notes": "every frame of three sets written here (one with a single action dimension) and of two sets that "
        "LeRobot wrote (AV1 and H.264, three episodes in one file), read by both; n counts pictures compared",
    })  # fmt: skip
