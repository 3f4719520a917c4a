"""What a run is made of, as factories: the loop calls them and knows nothing else about policies and data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import nn

from embodia.core.types import Batch
from embodia.training.checkpoint import Card
from embodia.training.feed import Augment


@dataclass(frozen=True, kw_only=True)
class Factories:
    """Makers of everything a run needs.

    policy      builds the policy; called once, with the random state set by the seed
    batches     (first batch, rank, world size) -> endless batches of that rank's share, a pure function of the index
    describe    step -> words for the samples it saw
    card        what spec.json says
    validation  (rank, world size) -> the held-out batches, always the same; None never validates
    augment     applied to training batches on the device
    """

    policy: Callable[[], nn.Module]
    batches: Callable[[int, int, int], Iterator[Batch]]
    describe: Callable[[int], str]
    card: Card
    validation: Callable[[int, int], Iterator[Batch]] | None = None
    augment: Augment | None = None
