"""How a trained policy acts, and what it carries from one decision to the next.

State is passed, never hidden: whoever calls keeps the `Carry` and hands it back. The one thing to watch: a carry
belongs to the rows of one batch in their order.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from embodia.core.types import Message


@dataclass(frozen=True, kw_only=True)
class Inference:
    """How a trained policy acts.

    steps        of the sampler; None is the decoder's own default
    execute      actions a runner should carry out between two decisions; None is the whole chunk, or 1 when ensembling
    ensemble     m of ACT's temporal ensembling, weights exp(-m i) with i = 0 the oldest prediction; None is off. Chunks
                 then come out `execute` long, because the carry counts on exactly that many being carried out
    think_every  decisions between two thoughts; what was said last holds in between
    skip         first steps of a predicted chunk that are past already, for policies whose chunk begins at the oldest
                 moment they see
    """

    steps: int | None = None
    execute: int | None = None
    ensemble: float | None = None
    think_every: int = 1
    skip: int = 0


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """Carry of temporal ensembling: running means (B H A) of steps still to come, and the weight each mean has (H)."""

    mean: Tensor
    weight: Tensor
    count: Tensor


@dataclass(frozen=True, kw_only=True)
class Carry:
    """What a policy remembers between two decisions.

    ensemble   of chunks still to come
    thought    what was said last, one text a batch entry; () before the first thought
    message    what the slower system said last
    decisions  how many were taken in this episode
    """

    ensemble: Ensemble | None = None
    thought: tuple[str, ...] = ()
    message: Message | None = None
    decisions: int = 0


def blend(actions: Tensor, carry: Ensemble | None, m: float, every: int) -> tuple[Tensor, Ensemble]:
    """Temporal ensembling (ACT, algorithm 2): mean over all predictions for a step, weighted exp(-m i), oldest i = 0.

    `actions` (B H A) begin now. Returns the first `every` blended steps and the carry for the decision after them.
    """
    length = actions.shape[1]
    mean, weight = torch.zeros_like(actions), actions.new_zeros(length)
    count = torch.zeros(length, device=actions.device)
    if carry is not None:
        kept = carry.mean.shape[1]
        mean[:, :kept], weight[:kept], count[:kept] = carry.mean, carry.weight, carry.count
    newest = torch.exp(-m * count)
    total = weight + newest
    mean = mean + (actions - mean) * (newest / total)[:, None]
    rest = Ensemble(mean=mean[:, every:], weight=total[every:], count=count[every:] + 1)
    return mean[:, :every], rest
