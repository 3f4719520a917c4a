"""Focal loss (Lin et al. 2017): cross entropy that looks away from what is known already."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def focal(logits: Tensor, target: Tensor, gamma: float) -> Tensor:
    """-(1 - p)^gamma log p of the true class, (...), from logits (... K) and target int64 (...); gamma 0 is plain."""
    chance = F.log_softmax(logits.float(), dim=-1).gather(-1, target[..., None])[..., 0]
    return -chance if gamma == 0 else -((1 - chance.exp()) ** gamma) * chance
