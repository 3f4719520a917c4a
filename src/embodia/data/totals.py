"""What is derived from all episodes together: counts, sentences, statistics, and the three files that hold them.

Kept while writing. Every one of these files can be computed again from the episodes, so none of them is a commit point.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.data import layout
from embodia.data.running import RunningStatistics
from embodia.io.atomic import write_json
from embodia.io.table import write_table

FRACTIONS = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
_SAMPLED_FRAMES = 16


def summarise(values: NDArray[np.floating[Any]]) -> dict[str, Any]:
    """The figures of a feature (N, D) that the layout stores with each episode."""
    wide = values.astype(np.float64)
    found = {"min": wide.min(0), "max": wide.max(0), "mean": wide.mean(0), "std": wide.std(0)}
    found |= dict(zip(FRACTIONS, np.quantile(wide, list(FRACTIONS.values()), axis=0), strict=True))
    return {name: value.tolist() for name, value in found.items()} | {"count": [len(wide)]}


def summarise_images(frames: NDArray[np.uint8]) -> dict[str, Any]:
    """The figures of a camera, in 0..1 a channel and shaped (3, 1, 1), from up to 16 frames spread over the episode."""
    chosen = frames[np.unique(np.linspace(0, len(frames) - 1, _SAMPLED_FRAMES).astype(int))]
    counts = np.stack([np.bincount(chosen[..., channel].ravel(), minlength=256) for channel in range(3)])
    levels = np.arange(256) / 255
    share = counts / counts.sum(1, keepdims=True)
    mean = share @ levels
    seen = [levels[row > 0] for row in counts]
    found = {"min": [row[0] for row in seen], "max": [row[-1] for row in seen], "mean": mean}
    found["std"] = np.sqrt(np.maximum(0, share @ levels**2 - mean**2))
    reached = np.cumsum(share, axis=1)
    for name, fraction in FRACTIONS.items():
        found[name] = levels[np.minimum(255, (reached < fraction - 1e-12).sum(1))]
    return {name: _tall(value) for name, value in found.items()} | {"count": [len(chosen)]}


class Totals:
    """Running totals of a data set."""

    def __init__(self, contract: Contract, profile: str) -> None:
        self._contract, self._profile = contract, profile
        self.episodes, self.frames = 0, 0
        self.instructions: list[str] = []
        self._vectors = {
            name: RunningStatistics(len(names)) for name, names in layout.vector_features(contract).items()
        }
        self._rewards = RunningStatistics(1)
        self._images: dict[str, dict[str, Any]] = {}

    def task(self, instruction: str) -> int:
        """The number of a sentence, the next free one if it is new."""
        known = self.instructions
        return known.index(instruction) if instruction in known else len(known)

    def add(
        self,
        instruction: str,
        vectors: Mapping[str, NDArray[np.float32]],
        rewards: NDArray[np.float32],
        images: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """Take in one episode."""
        if instruction not in self.instructions:
            self.instructions.append(instruction)
        self.episodes += 1
        self.frames += len(rewards)
        for name, values in vectors.items():
            self._vectors[name].add(values)
        self._rewards.add(rewards[:, None])
        for key, found in images.items():
            self._images[key] = _merge_images(self._images.get(key), found)

    def statistics(self) -> dict[str, FeatureStatistics]:
        """Of "state", "action" and the senses of few numbers, as far as the contract has them."""
        return {layout.short_name(name): running.result() for name, running in self._vectors.items()}

    def write(self, root: Path, *, durable: bool) -> None:
        """Write `info.json`, `stats.json` and `tasks.parquet`. Raises `StorageError`."""
        write_table(root / layout.TASKS, layout.tasks_table(self.instructions), durable=durable)
        write_json(root / layout.STATS, self._stats() if self.frames else {}, durable=durable)
        counts = {"episodes": self.episodes, "frames": self.frames, "tasks": len(self.instructions)}
        info = layout.info(self._contract, **counts, profile=self._profile)
        write_json(root / layout.INFO, info, durable=durable)

    def _stats(self) -> dict[str, Any]:
        vectors = {**self._vectors, layout.REWARD: self._rewards}
        return {name: _plain(running) for name, running in vectors.items()} | self._images


def _plain(running: RunningStatistics) -> dict[str, Any]:
    result = running.result()
    found = {"min": result.minimum, "max": result.maximum, "mean": result.mean, "std": result.std}
    found |= {name: running.quantiles(fraction)[0].tolist() for name, fraction in FRACTIONS.items()}
    return {name: list(value) for name, value in found.items()} | {"count": [result.count]}


def _merge_images(old: dict[str, Any] | None, new: Mapping[str, Any]) -> dict[str, Any]:
    if old is None:
        return dict(new)
    (n, m), names = (old["count"][0], new["count"][0]), ("mean", "std", *FRACTIONS)
    a, b = ({name: np.asarray(item[name]).ravel() for name in (*names, "min", "max")} for item in (old, new))
    merged = {name: (n * a[name] + m * b[name]) / (n + m) for name in ("mean", *FRACTIONS)}
    square = (n * (a["std"] ** 2 + a["mean"] ** 2) + m * (b["std"] ** 2 + b["mean"] ** 2)) / (n + m)
    merged["std"] = np.sqrt(np.maximum(0, square - merged["mean"] ** 2))
    merged |= {"min": np.minimum(a["min"], b["min"]), "max": np.maximum(a["max"], b["max"])}
    return {name: _tall(value) for name, value in merged.items()} | {"count": [n + m]}


def _tall(values: Any) -> list[Any]:
    return np.asarray(values, dtype=np.float64).reshape(3, 1, 1).tolist()
