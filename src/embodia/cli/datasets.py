"""Data sets for training, opened alike by `train` and `run`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from embodia.core.errors import ConfigError
from embodia.data.dataset import Dataset
from embodia.data.mixture import Mixture
from embodia.generate.collect import SETTINGS, read_settings


def open_mixture(folders: Sequence[Path], ratios: Sequence[float] = ()) -> Mixture:
    """The data sets with their ratios; by number of frames when none are given. FOLDER?KIND asks that kind of question.

    A set that was collected with rarer pictures than actions gives only the frames whose picture was drawn.
    """
    datasets = [_open(folder) for folder in folders]
    weights = tuple(ratios) or tuple(float(dataset.frames) for dataset in datasets)
    if len(weights) != len(datasets):
        raise ConfigError(f"{len(weights)} ratios for {len(datasets)} data sets", leaf="ratios")
    return Mixture(list(zip(datasets, weights, strict=True)))


def _open(place: Path) -> Dataset:
    folder, asks, kind = str(place).rpartition("?") if "?" in place.name else (str(place), "", "")
    dataset = _thinned(Path(folder))
    return dataset.asking(kind) if asks else dataset


def _thinned(folder: Path) -> Dataset:
    dataset = Dataset.open(folder)
    if (folder / SETTINGS).is_file():
        return dataset.thin(read_settings(folder).episode.images_every)
    return dataset
