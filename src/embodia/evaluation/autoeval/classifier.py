"""A judge that looks: was the task done, seen from the last pictures alone.

A small convolutional network with the task as a second input; it is told nothing of the simulator's state, because a
real bench has none to tell. The one thing to watch: its word is worth what its agreement with the truth is, measured
on episodes of a policy that it was not trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from embodia.core.config import from_json, to_json
from embodia.core.errors import ConfigError, ShapeError
from embodia.core.names import unknown
from embodia.core.types import Array
from embodia.io.atomic import replace_folder, write_json
from embodia.io.jsonio import read_json
from embodia.io.manifest import verify, write_manifest
from embodia.io.tensors import load_tensors, save_tensors

_WIDTHS = (24, 48, 64, 64)


@dataclass(frozen=True, kw_only=True)
class JudgeConfig:
    """Tasks that the judge knows, its cameras in order, picture size, and how it is trained."""

    tasks: tuple[str, ...]
    cameras: tuple[str, ...]
    height: int
    width: int
    steps: int = 600
    batch: int = 32
    learning_rate: float = 1e-3
    shift: int = 3


class Judge(nn.Module):
    """Probability that a task is done, from one picture a camera."""

    def __init__(self, config: JudgeConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        before = 3 * len(config.cameras)
        for width in _WIDTHS:
            layers += [nn.Conv2d(before, width, 3, stride=2, padding=1), nn.GroupNorm(8, width), nn.ReLU()]
            before = width
        self.eye = nn.Sequential(*layers)
        rows, columns = (_halved(size, len(_WIDTHS)) for size in (config.height, config.width))
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(before * rows * columns, 64), nn.ReLU())
        self.out = nn.Linear(64, len(config.tasks))

    def forward(self, pictures: Tensor, task: Tensor) -> Tensor:
        logits: Tensor = self.out(self.head(self.eye(pictures)))
        return logits.gather(1, task[:, None])[:, 0]

    @torch.no_grad()
    def probability(self, images: Mapping[str, Array], task: str) -> float:
        """That `task` is done in pictures by camera, each uint8 (H W 3). Raises `UnknownNameError`, `ShapeError`."""
        self.eval()
        pictures = torch.from_numpy(stacked(images, self.config)[None])
        return float(torch.sigmoid(self(scaled(pictures), torch.tensor([self._index(task)])))[0])

    def _index(self, task: str) -> int:
        if task not in self.config.tasks:
            raise unknown("task of the judge", task, self.config.tasks)
        return self.config.tasks.index(task)


def stacked(images: Mapping[str, Array], config: JudgeConfig) -> npt.NDArray[np.uint8]:
    """Pictures of the judge's cameras as one uint8 array (3C H W). Raises `ShapeError`."""
    found = []
    for camera in config.cameras:
        image = np.asarray(images.get(camera, np.zeros(0)))
        if image.shape != (config.height, config.width, 3) or image.dtype != np.uint8:
            raise ShapeError(f"picture is {image.dtype} {image.shape}", leaf=camera)
        found.append(image.transpose(2, 0, 1))
    return np.concatenate(found)


def scaled(pictures: Tensor) -> Tensor:
    """uint8 pictures as numbers from -1 to 1."""
    return pictures.float() / 127.5 - 1


def train_judge(
    config: JudgeConfig,
    pictures: npt.NDArray[np.uint8],
    tasks: Sequence[str],
    done: npt.NDArray[np.bool_],
    *,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Judge:
    """A judge from labelled pictures (N 3C H W), a pure function of its arguments; both outcomes count alike.

    Raises `ConfigError` when a task lacks successes or failures.
    """
    chosen = _balanced(config, tasks, done)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        judge = Judge(config)
        optimizer = torch.optim.AdamW(judge.parameters(), lr=config.learning_rate, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
        rng = np.random.default_rng(seed)
        index, labels = np.array([config.tasks.index(task) for task in tasks]), np.asarray(done, np.float32)
        for step in range(config.steps):
            rows = np.array([rng.choice(chosen[group]) for group in rng.integers(len(chosen), size=config.batch)])
            batch = scaled(torch.from_numpy(_shifted(pictures[rows], config.shift, rng)))
            logits = judge(batch, torch.from_numpy(index[rows]))
            loss = nn.functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(labels[rows]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            if progress is not None:
                progress("judge", step + 1, config.steps)
    return judge.eval()


def save_judge(folder: Path, judge: Judge) -> None:
    """Weights and configuration; the manifest comes last."""
    with replace_folder(folder) as inside:
        save_tensors(inside / "model.safetensors", judge.state_dict())
        write_json(inside / "judge.json", to_json(judge.config))
        write_manifest(inside)


def load_judge(folder: Path) -> Judge:
    """The judge in a folder. Raises `MissingFileError`, `CorruptFileError`, `ConfigError`."""
    verify(folder)
    judge = Judge(from_json(JudgeConfig, read_json(folder / "judge.json"), file=str(folder / "judge.json")))
    judge.load_state_dict(load_tensors(folder / "model.safetensors", framework="torch"))
    return judge.eval()


def _balanced(config: JudgeConfig, tasks: Sequence[str], done: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.int64]]:
    names, groups = np.asarray(tasks), []
    for task in config.tasks:
        for outcome in (True, False):
            rows = np.flatnonzero((names == task) & (np.asarray(done) == outcome))
            if not len(rows):
                raise ConfigError(f"no {'success' if outcome else 'failure'} to learn from", leaf=task)
            groups.append(rows)
    return groups


def _shifted(pictures: npt.NDArray[np.uint8], most: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    padded = np.pad(pictures, ((0, 0), (0, 0), (most, most), (most, most)), mode="edge")
    height, width = pictures.shape[2:]
    corners = rng.integers(0, 2 * most + 1, (len(pictures), 2))
    return np.stack(
        [picture[:, y : y + height, x : x + width] for picture, (y, x) in zip(padded, corners, strict=True)]
    )


def _halved(size: int, times: int) -> int:
    for _ in range(times):
        size = (size + 1) // 2
    return size
