"""A policy and a mixture of data sets as the factories of a run: where contract, profile and order are checked.

The k-th part of a batch is the k-th batch of the loader, so a rank's share follows from the step alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from embodia.core.errors import ContractError
from embodia.core.provenance import require_same_profile
from embodia.core.specs import require_match
from embodia.core.types import Batch
from embodia.data.dataset import Dataset
from embodia.data.loader import Loader, validation_batches
from embodia.data.mixture import Mixture
from embodia.data.transforms.augment import Augment as PictureAugment
from embodia.parts.borrowed import borrowed_weights
from embodia.parts.compose import Composition
from embodia.policies import PolicySpec, complete, make
from embodia.training.checkpoint import Card
from embodia.training.config import TrainConfig
from embodia.training.factories import Factories
from embodia.training.feed import Augment
from embodia.training.start import begin


def from_mixture(config: TrainConfig, spec: PolicySpec, mixture: Mixture, augment: Augment | None = None) -> Factories:
    """Factories for training `spec` on `mixture`; `augment` takes the place of the usual changes to pictures.

    Raises `ContractError` when policy and data disagree or the data carry no actions, `ProfileError` when the sets were
    drawn differently.
    """
    if not mixture.contract.action.parts:
        raise ContractError("the data carry no actions to imitate", file=mixture.datasets[0].root, leaf="action")
    spec = complete(spec)
    require_match(spec.contract, mixture.contract, left_name=f"policy {spec.name}", right_name="the data")
    provenance = mixture.datasets[0].provenance
    for other in mixture.datasets[1:]:
        require_same_profile(provenance, other.provenance)
    training, held_out = mixture.split(config.seed, config.validation_fraction)
    statistics = mixture.statistics
    reading = _Reading(config, spec, training, held_out)
    return Factories(
        policy=lambda: _begun(config, _fitted(make(spec, statistics), training)),
        batches=reading.batches,
        describe=reading.describe,
        card=Card(
            policy=spec,
            provenance=provenance,
            statistics=statistics,
            training=config,
            borrowed=borrowed_weights(outline(spec)),
            datasets=tuple(identity(item, n) for item, n in zip(mixture.datasets, mixture.counts, strict=True)),
        ),
        validation=None if held_out is None else reading.validation,
        augment=(augment or PictureAugment(config.augmentation)) if config.augment else None,
    )


def identity(dataset: Dataset, samples: int) -> dict[str, Any]:
    """What tells one data set from another wherever it lies: name, size, and a digest over its episodes' checksums."""
    digest = hashlib.sha256()
    for row in dataset.episodes:
        videos = sorted((name, span.sha256) for name, span in row.videos.items())
        digest.update(repr((row.index, row.length, row.task, row.seed, row.sha256, videos)).encode())
    return {
        "name": dataset.name,
        "episodes": len(dataset.episodes),
        "frames": dataset.frames,
        "samples_per_epoch": samples,
        "sha256": digest.hexdigest(),
    }


_CHUNKS_TO_FIT = 8192


class _Reading:
    """How batches are read; the policy says which moments, actions and states to come a sample has."""

    def __init__(self, config: TrainConfig, spec: PolicySpec, training: Mixture, held_out: Mixture | None) -> None:
        shape = outline(spec)
        self._config, self._training, self._held_out = config, training, held_out
        self._window: dict[str, Any] = {
            "chunk": shape.contract.action.chunk,
            "history": shape.history,
            "cameras": shape.contract.observation.camera_names,
            "ahead": shape.ahead,
            "later": shape.later,
            "answers": shape.answers,
        }

    def batches(self, first: int, rank: int, world_size: int) -> Iterator[Batch]:
        return self._loader(rank, world_size, first)

    def describe(self, step: int) -> str:
        parts = range(step * self._config.accumulate, (step + 1) * self._config.accumulate)
        loader = self._loader(0, 1, 0)
        return "; ".join(loader.describe(part) for part in parts)

    def validation(self, rank: int, world_size: int) -> Iterator[Batch]:
        assert self._held_out is not None
        size = self._part_size(world_size)
        return validation_batches(
            self._held_out,
            batch_size=size,
            samples=self._config.validation_batches * self._config.batch_size,
            rank=rank,
            world_size=world_size,
            **self._window,
        )

    def _loader(self, rank: int, world_size: int, first: int) -> Loader:
        return Loader(
            self._training,
            batch_size=self._part_size(world_size),
            seed=self._config.seed,
            rank=rank,
            world_size=world_size,
            start_step=first,
            workers=self._config.workers,
            prefetch=self._config.prefetch,
            **self._window,
        )

    def _part_size(self, world_size: int) -> int:
        return self._config.batch_size // (self._config.accumulate * world_size)


def _fitted(policy: Composition, training: Mixture) -> Composition:
    """The policy after it has heard every sentence, and its tokenizers and clusters have seen whole chunks."""
    policy.fit_sentences(_wordings(training))
    if not policy.must_fit:
        return policy
    found, length = [], policy.contract.action.chunk
    for dataset, share in zip(training.datasets, training.counts, strict=True):
        wanted = max(1, _CHUNKS_TO_FIT * share // training.epoch_samples)
        chunks = dataset.chunks(np.unique(np.linspace(0, dataset.frames - 1, wanted).astype(np.int64)), length)
        found.append(chunks.actions[chunks.valid.all(1)])
    policy.fit(torch.from_numpy(np.concatenate(found)))
    return policy


def _wordings(training: Mixture) -> dict[str, tuple[str, ...]]:
    """Canonical sentence -> its paraphrases, over all sets."""
    found: dict[str, tuple[str, ...]] = {}
    for dataset in training.datasets:
        for said in {row.instruction for row in dataset.episodes if row.instruction}:
            found[said] = tuple(dict.fromkeys((*found.get(said, ()), *dataset.paraphrases.get(said, ()))))
    return found


def _begun(config: TrainConfig, policy: Composition) -> Composition:
    """The policy with what earlier runs have taught, and with what shall not learn, as the configuration says."""
    begin(policy, config)
    return policy


def outline(spec: PolicySpec) -> Composition:
    """The policy without memory for its weights: enough to ask for its contract, history and sizes."""
    with torch.device("meta"):
        return make(spec)
