"""How the error of a chunk becomes one number a sample: an explicit choice, because it changes the gradient.

Padded steps (beyond the end of an episode) never count as errors. What differs between codebases is the denominator:

- `sample`: each sample is the mean over its own valid steps; a sample's loss does not depend on its batch.
- `batch`: the mean of the B numbers is the mean over all valid entries of the batch (LeRobot's ACT); long samples
  weigh more, and gradient accumulation over unequal batches is only approximate.
- `length`: padded steps add nothing but are counted in the denominator (the ACT authors' code); short samples weigh
  less.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

Reduction = Literal["sample", "batch", "length"]


def reduce_chunk(error: Tensor, valid: Tensor, reduction: Reduction) -> Tensor:
    """(B,) from `error` (B H A), not negative, and `valid` (B H) bool."""
    width = error.shape[-1]
    total = (error.sum(-1) * valid).sum(-1)
    if reduction == "length":
        return total / (valid.shape[-1] * width)
    counted = valid.sum(-1) * width
    if reduction == "sample":
        return total / counted.clamp_min(1)
    return total * len(total) / counted.sum().clamp_min(1)
