"""Batches ready for the network: taken from the source, turned into tensors, augmented and moved, ahead of the step.

One thread prepares while the network computes (decoding and tensor work release the interpreter lock). The augmentation
of batch i draws from a generator of (seed, i, rank), so what the network sees does not depend on timing or on resumes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeAlias

import numpy as np
import torch

from embodia.core.errors import TrainingError
from embodia.core.seeds import derive_seed
from embodia.core.types import Batch

Augment: TypeAlias = Callable[[Batch, torch.Generator], Batch]


def to_torch(batch: Batch, device: torch.device) -> Batch:
    """`batch` with tensors on `device` in place of numpy arrays."""

    def move(array: Any) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array)) if isinstance(array, np.ndarray) else array
        if device.type == "cuda":
            return tensor.pin_memory().to(device, non_blocking=True)
        return tensor.to(device)

    return batch.map(move)


class Feed:
    """Iterates the batches of `source`, numbered from `start`; at most `ahead` are prepared early (0: none).

    `waited_s` is the time that the consumer spent waiting. Errors of the source come out of `next`; a source that ends
    is a `TrainingError`, because the budget decides when training ends.
    """

    def __init__(
        self,
        source: Iterator[Batch],
        *,
        device: torch.device,
        seed: int,
        rank: int = 0,
        start: int = 0,
        ahead: int = 2,
        augment: Augment | None = None,
    ) -> None:
        self.waited_s = 0.0
        self._source, self._device, self._augment = source, device, augment
        self._seed, self._rank, self._index = seed, rank, start
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="feed") if ahead else None
        self._ready: deque[Future[Batch]] = deque()
        for _ in range(ahead):
            self._order()

    def __iter__(self) -> Feed:
        return self

    def __next__(self) -> Batch:
        began_s = time.perf_counter()
        if self._pool is None:
            batch = self._prepare()
        else:
            batch = self._ready.popleft().result()
            self._order()
        self.waited_s += time.perf_counter() - began_s
        return batch

    def close(self) -> None:
        """Stop preparing, and close the source if it can be closed."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        close = getattr(self._source, "close", None)
        if close is not None:
            close()

    def _order(self) -> None:
        if self._pool is not None:
            self._ready.append(self._pool.submit(self._prepare))

    def _prepare(self) -> Batch:
        batch = next(self._source, None)
        if batch is None:
            raise TrainingError("the data ended before the budget did", leaf=f"batch {self._index}")
        index, self._index = self._index, self._index + 1
        ready = to_torch(batch, self._device)
        if self._augment is None:
            return ready
        seed = derive_seed(self._seed, "augment", index, self._rank)
        return self._augment(ready, torch.Generator(self._device).manual_seed(seed))
