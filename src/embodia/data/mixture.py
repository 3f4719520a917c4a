"""Several data sets as one endless, exactly proportioned stream of samples.

An epoch of the mixture has a fixed number of samples, of which each set gives a fixed share; each set is walked through
its own permutations, so over its own epochs no frame is left out or repeated. Watch out: the sets must have the same
contract.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from embodia.core.errors import ConfigError
from embodia.core.seeds import derive_seed
from embodia.core.specs import Contract, require_match
from embodia.core.statistics import FeatureStatistics
from embodia.data.dataset import Dataset
from embodia.data.order import Ids, choices, interleave, sample_ids, split


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Where samples come from: data set number, frame in it, and the free choice that picks the sentence."""

    source: Ids
    frame: Ids
    choice: np.ndarray[tuple[int], np.dtype[np.uint64]]


class Mixture:
    """Data sets with ratios (any positive scale); `epoch_samples` defaults to all their frames together.

    Raises `ConfigError` for no sets, empty sets or ratios that are not positive, `ContractError` when two disagree.
    """

    def __init__(self, parts: Sequence[tuple[Dataset, float]], epoch_samples: int | None = None) -> None:
        if not parts or any(ratio <= 0 or dataset.frames < 1 for dataset, ratio in parts):
            raise ConfigError("a mixture needs sets with frames and positive ratios", leaf="mixture")
        self.datasets = tuple(dataset for dataset, _ in parts)
        for other in self.datasets[1:]:
            first = self.datasets[0]
            require_match(first.contract, other.contract, left_name=str(first.root), right_name=str(other.root))
        self.epoch_samples = epoch_samples or sum(dataset.frames for dataset in self.datasets)
        self.counts = _shares(tuple(ratio for _, ratio in parts), self.epoch_samples)
        # one epoch's order is kept; it is computed anew from (seed, epoch) whenever another one is asked for
        self._epoch = lru_cache(maxsize=2)(self._compute_epoch)

    @property
    def contract(self) -> Contract:
        """The contract all sets share."""
        return self.datasets[0].contract

    @property
    def statistics(self) -> dict[str, FeatureStatistics]:
        """Of "state" and "action", over all sets, each frame counting once."""
        if len(self.datasets) == 1:
            return dict(self.datasets[0].statistics)
        return {name: merged(self.datasets, name) for name in self.datasets[0].statistics}

    def split(self, seed: int, fraction: float) -> tuple[Mixture, Mixture | None]:
        """(training, validation): whole episodes held out, `fraction` of each task's; None when nothing is held out."""
        kept, held = [], []
        for dataset, count in zip(self.datasets, self.counts, strict=True):
            rows = dataset.episodes
            train, validation = split(seed, tuple(row.task or row.instruction for row in rows), fraction)
            kept.append((dataset.select([rows[place].index for place in train]), float(count)))
            held.append((dataset.select([rows[place].index for place in validation]), float(count)))
        held = [(dataset, ratio) for dataset, ratio in held if dataset.frames]
        return Mixture(kept), Mixture(held) if held else None

    def samples(self, seed: int, start: int, count: int) -> Samples:
        """The samples start..start+count-1 of the endless stream, a pure function of its arguments."""
        first, last = start // self.epoch_samples, (start + count - 1) // self.epoch_samples
        pieces = []
        for epoch in range(first, last + 1):
            begin = max(0, start - epoch * self.epoch_samples)
            end = min(self.epoch_samples, start + count - epoch * self.epoch_samples)
            source, frame = self._epoch(seed, epoch)
            index = np.arange(begin, end)
            pieces.append((source[index], frame[index], choices(seed, epoch, index)))
        source, frame, choice = (np.concatenate(column) for column in zip(*pieces, strict=True))
        return Samples(source=source, frame=frame, choice=choice)

    def _compute_epoch(self, seed: int, epoch: int) -> tuple[Ids, Ids]:
        source = interleave(seed, epoch, self.counts)
        frame = np.empty(len(source), dtype=np.int64)
        for number, (dataset, count) in enumerate(zip(self.datasets, self.counts, strict=True)):
            frame[source == number] = _walk(derive_seed(seed, "set", number), dataset.frames, epoch * count, count)
        return source, frame


def merged(datasets: Sequence[Dataset], name: str) -> FeatureStatistics:
    """Statistics of a feature over several sets: mean and spread exact, quantiles weighted by frames."""
    found = [dataset.statistics[name] for dataset in datasets]
    weight = np.array([item.count for item in found], dtype=np.float64)[:, None] / sum(item.count for item in found)

    def column(figure: str) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        return np.array([getattr(item, figure) for item in found], dtype=np.float64)

    mean = (weight * column("mean")).sum(0)
    square = (weight * (column("std") ** 2 + column("mean") ** 2)).sum(0)
    figures = {
        "mean": mean,
        "std": np.sqrt(np.maximum(0, square - mean**2)),
        "minimum": column("minimum").min(0),
        "maximum": column("maximum").max(0),
        "q01": (weight * column("q01")).sum(0),
        "q99": (weight * column("q99")).sum(0),
    }
    plain = {key: tuple(float(number) for number in value) for key, value in figures.items()}
    return FeatureStatistics(count=sum(item.count for item in found), **plain)


def _shares(ratios: tuple[float, ...], total: int) -> tuple[int, ...]:
    exact = np.array(ratios) / sum(ratios) * total
    counts = np.floor(exact).astype(int)
    for place in np.argsort(counts - exact, kind="stable")[: total - counts.sum()]:
        counts[place] += 1
    return tuple(counts.tolist())


def _walk(seed: int, size: int, start: int, count: int) -> Ids:
    if not count:
        return np.empty(0, dtype=np.int64)
    epochs = range(start // size, (start + count - 1) // size + 1)
    stream = np.concatenate([sample_ids(seed, epoch, size) for epoch in epochs])
    return stream[start - epochs[0] * size :][:count]
