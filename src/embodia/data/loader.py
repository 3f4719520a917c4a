"""Batches for training: the k-th batch of a rank is a pure function of (mixture, seed, k, rank, world size).

Each rank computes its own share of the global order; there is no sampler state to save, so resuming is starting at a
step. Background threads fetch ahead; they change when a batch is ready, never what is in it. Watch out: the iterator is
endless; close it (or leave its `with`) to end the threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from embodia.core.errors import ConfigError
from embodia.core.types import ActionChunk, Batch, Observation
from embodia.data.mixture import Mixture, Samples
from embodia.data.order import Ids

_SENSES = ("points", "touch", "wrench", "audio")


class Loader:
    """Iterates batches of `batch_size` samples a rank, from `start_step` on.

    `chunk` actions, `history` moments, states `ahead`, sights `later` and texts of the kind `answers` a sample (see
    `Dataset.batch`). `cameras` default to all. `paraphrases` False gives the canonical sentences. `workers` threads
    keep `prefetch` batches ready; 0 workers fetch when asked. Errors of fetching come out of `next`.
    """

    def __init__(
        self,
        mixture: Mixture,
        *,
        batch_size: int,
        chunk: int,
        history: int = 1,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        start_step: int = 0,
        cameras: Sequence[str] | None = None,
        ahead: Sequence[int] = (),
        later: Sequence[int] = (),
        answers: str = "",
        paraphrases: bool = True,
        workers: int = 1,
        prefetch: int = 2,
    ) -> None:
        if not 0 <= rank < world_size or batch_size < 1 or start_step < 0:
            raise ConfigError(f"rank {rank} of {world_size}, batch {batch_size}, step {start_step}", leaf="loader")
        self._mixture, self._batch_size, self._chunk, self._history = mixture, batch_size, chunk, history
        self._seed, self._rank, self._world_size, self._step = seed, rank, world_size, start_step
        self._cameras, self._paraphrases = cameras, paraphrases
        self._ahead, self._later, self._answers = tuple(ahead), tuple(later), answers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="loader") if workers else None
        self._ready: deque[Future[Batch]] = deque()
        self._prefetch = max(1, prefetch)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        step, self._step = self._step, self._step + 1
        if self._pool is None:
            return self.fetch(step)
        ahead = range(step + len(self._ready), step + self._prefetch + 1)
        self._ready.extend(self._pool.submit(self.fetch, number) for number in ahead)
        return self._ready.popleft().result()

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the background threads."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def samples(self, step: int) -> Samples:
        """What this rank's batch of that step holds; epochs join without a gap."""
        start = (step * self._world_size + self._rank) * self._batch_size
        return self._mixture.samples(self._seed, start, self._batch_size)

    def describe(self, step: int) -> str:
        """The samples of a step in words, for a message about a bad loss: set, episode and frame."""
        chosen = self.samples(step)
        words = []
        for number, dataset in enumerate(self._mixture.datasets):
            episodes, positions = dataset.locate(chosen.frame[chosen.source == number])
            words += [f"{dataset.name}: episode {e} frame {p}" for e, p in zip(episodes, positions, strict=True)]
        return "; ".join(words)

    def fetch(self, step: int) -> Batch:
        """The batch of any step, at once."""
        return fetch(
            self._mixture,
            self.samples(step),
            chunk=self._chunk,
            history=self._history,
            cameras=self._cameras,
            ahead=self._ahead,
            later=self._later,
            answers=self._answers,
            paraphrases=self._paraphrases,
        )


def fetch(
    mixture: Mixture,
    samples: Samples,
    *,
    chunk: int,
    history: int = 1,
    cameras: Sequence[str] | None = None,
    ahead: Sequence[int] = (),
    later: Sequence[int] = (),
    answers: str = "",
    paraphrases: bool = True,
) -> Batch:
    """The batch of given samples, each data set read once."""
    used = np.unique(samples.source)
    places = [np.flatnonzero(samples.source == number) for number in used]
    parts = []
    for number, place in zip(used, places, strict=True):
        choice = samples.choice[place] if paraphrases else None
        part = mixture.datasets[number]
        parts.append(part.batch(samples.frame[place], chunk, history, cameras, choice, ahead, later, answers))
    return parts[0] if len(parts) == 1 else _join(parts, np.argsort(np.concatenate(places), kind="stable"))


def validation_batches(
    mixture: Mixture,
    *,
    batch_size: int,
    chunk: int,
    history: int = 1,
    samples: int = 512,
    rank: int = 0,
    world_size: int = 1,
    cameras: Sequence[str] | None = None,
    ahead: Sequence[int] = (),
    later: Sequence[int] = (),
    answers: str = "",
) -> Iterator[Batch]:
    """The same batches each time: up to `samples` frames spread evenly over every set, canonical sentences.

    Ranks take turns; each gets the same number of batches, so a last batch may repeat frames.
    """
    chosen = [np.unique(np.linspace(0, item.frames - 1, samples).astype(np.int64)) for item in mixture.datasets]
    source = np.concatenate([np.full(len(frames), number) for number, frames in enumerate(chosen)])
    frame = np.concatenate(chosen)
    spread = np.argsort(np.concatenate([np.arange(len(frames)) / len(frames) for frames in chosen]), kind="stable")
    order = spread[: max(1, samples)]
    rounds = -(-len(order) // (batch_size * world_size))
    for number in range(rounds):
        start = (number * world_size + rank) * batch_size
        place = order[np.arange(start, min(start + batch_size, max(len(order), start + 1))) % len(order)]
        choice = np.zeros(len(place), dtype=np.uint64)
        part = Samples(source=source[place], frame=frame[place], choice=choice)
        window: dict[str, Any] = {
            "chunk": chunk,
            "history": history,
            "cameras": cameras,
            "ahead": ahead,
            "later": later,
        }
        yield fetch(mixture, part, **window, answers=answers, paraphrases=False)


def _join(parts: Sequence[Batch], order: Ids) -> Batch:
    """Batches of several sets as one, in the order of the samples."""
    names = [name for part in parts for name in part.dataset]
    speak = any(part.answer for part in parts)
    answers = [answer for part in parts for answer in part.answer or ("",) * len(part.dataset)] if speak else []
    later = [part.later for part in parts if part.later is not None]
    chunk: ActionChunk = replace(
        parts[0].chunk,
        actions=np.concatenate([part.chunk.actions for part in parts])[order],
        valid=np.concatenate([part.chunk.valid for part in parts])[order],
    )
    return Batch(
        observation=_join_seen([part.observation for part in parts], order),
        chunk=chunk,
        dataset=tuple(names[place] for place in order),
        ahead=None if parts[0].ahead is None else np.concatenate([part.ahead for part in parts])[order],
        later=_join_seen(later, order) if later else None,
        answer=tuple(answers[place] for place in order) if answers else (),
    )


def _join_seen(parts: Sequence[Observation], order: Ids) -> Observation:
    sentences = [sentence for part in parts for sentence in part.instruction]

    def array(get: str) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
        return np.concatenate([getattr(part, get) for part in parts])[order]

    def mapping(get: str) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
        keys = getattr(parts[0], get)
        return {key: np.concatenate([getattr(part, get)[key] for part in parts])[order] for key in keys}

    felt: dict[str, Any] = {name: array(name) for name in _SENSES if getattr(parts[0], name) is not None}
    return replace(
        parts[0],
        images=mapping("images"),
        masks=mapping("masks"),
        state=array("state"),
        time_s=array("time_s"),
        instruction=tuple(sentences[place] for place in order) if sentences else (),
        depth=mapping("depth"),
        **felt,
    )
