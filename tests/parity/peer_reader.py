"""Runs in the peer's interpreter: LeRobot writes some data sets itself, then reads every frame of every data set."""

import json
import sys
from pathlib import Path

import numpy as np
from lerobot.configs.video import RGBEncoderConfig
from lerobot.datasets.lerobot_dataset import LeRobotDataset

folder = Path(sys.argv[1])
request = json.loads((folder / "request.json").read_text())


def write(root: str, spec: dict) -> None:
    """Record a set with the peer's own writer: several episodes in one file."""
    size, dof = spec["size"], spec["dof"]
    names = [f"joint_{i}" for i in range(dof)]
    features = {
        "observation.state": {"dtype": "float32", "shape": (dof,), "names": names},
        "action": {"dtype": "float32", "shape": (dof,), "names": names},
    }
    for camera in spec["cameras"]:
        shape = {"dtype": "video", "shape": (size, size, 3), "names": ["height", "width", "channels"]}
        features[f"observation.images.{camera}"] = shape
    encoder = RGBEncoderConfig(vcodec=spec["codec"])
    dataset = LeRobotDataset.create("peer/written", spec["fps"], features, root=root, rgb_encoder=encoder)
    rng = np.random.default_rng(spec["seed"])
    for number, length in enumerate(spec["lengths"]):
        background = np.kron(rng.integers(0, 256, (4, 4, 3)), np.ones((size // 4, size // 4, 1))).astype(np.uint8)
        for i in range(length):
            frame = {"task": spec["tasks"][number % len(spec["tasks"])]}
            frame["observation.state"] = rng.normal(size=dof).astype(np.float32)
            frame["action"] = rng.normal(size=dof).astype(np.float32)
            for camera in spec["cameras"]:
                picture = background.copy()
                picture[i : i + 12, 2 * number : 2 * number + 12] = (240, 30, 20)
                frame[f"observation.images.{camera}"] = picture
            dataset.add_frame(frame)
        dataset.save_episode()
    dataset.finalize()


def read(root: str, backend: str, chunk: int) -> dict[str, np.ndarray]:
    """Every frame as the peer sees it, with windows of `chunk` actions."""
    first = LeRobotDataset("peer/read", root=root, video_backend=backend, return_uint8=True)
    deltas = {"action": [i / first.meta.fps for i in range(chunk)]}
    dataset = LeRobotDataset("peer/read", root=root, video_backend=backend, return_uint8=True, delta_timestamps=deltas)
    items = [dataset[i] for i in range(len(dataset))]
    plain = {"actions": "action", "padded": "action_is_pad", "state": "observation.state", "time_s": "timestamp"}
    found = {name: np.stack([item[key].numpy() for item in items]) for name, key in plain.items()}
    found["episode"] = np.array([int(item["episode_index"]) for item in items])
    found["task"] = np.array([item["task"] for item in items])
    found["count"] = np.array([dataset.meta.total_frames, dataset.meta.total_episodes, len(dataset.meta.tasks)])
    found["mean"] = np.asarray(dataset.meta.stats["action"]["mean"])
    for key in dataset.meta.features:
        if key.startswith("observation.") and key != "observation.state" and key not in dataset.meta.video_keys:
            found[key] = np.stack([item[key].numpy() for item in items])
    for key in dataset.meta.video_keys:
        found[key] = np.stack([item[key].permute(1, 2, 0).numpy() for item in items])
    return found


for root, spec in request["write"].items():
    write(root, spec)
for number, (root, backend) in enumerate(request["read"]):
    np.savez(folder / f"read-{number}.npz", **read(root, backend, request["chunk"]))
