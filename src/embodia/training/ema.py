"""Averaged weights: a slow copy of the parameters, better to act with than the newest ones.

The decay rises as (1 + step) / (10 + step) up to its final value, so that short runs are not dominated by their start.
It is a pure function of the step, so a resumed run repeats it. Works on local shards, hence unchanged under FSDP2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from embodia.training.optim import trainable


def local(tensor: Tensor) -> Tensor:
    """The part of `tensor` that lives in this process; the tensor itself when it is not sharded."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


class Ema:
    """Exponential moving average of the trainable parameters of `model`.

    `shadows` are by parameter name, sharded like the parameters. A `decay` of 0 keeps nothing and costs nothing.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.parameters = trainable(model) if decay else {}
        self.shadows: dict[str, Tensor] = {name: item.detach().clone() for name, item in self.parameters.items()}

    def update(self, step: int) -> None:
        """Move the averages towards the weights, after step `step` (from 0)."""
        if self.shadows:
            weight = 1.0 - min(self.decay, (1 + step) / (10 + step))
            torch._foreach_lerp_(self._local(self.shadows.values()), self._local(self.parameters.values()), weight)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the model holds the averages; afterwards exactly its own weights again."""
        weights = self._local(self.parameters.values())
        kept = [weight.clone() for weight in weights]
        _copy(weights, self._local(self.shadows.values()))
        try:
            yield
        finally:
            _copy(weights, kept)

    @staticmethod
    def _local(tensors: object) -> list[Tensor]:
        return [local(tensor.detach()) for tensor in tensors]  # type: ignore[attr-defined]


@torch.no_grad()
def _copy(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    if targets:
        torch._foreach_copy_(list(targets), list(sources))
