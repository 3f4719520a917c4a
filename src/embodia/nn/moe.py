"""A sparse mixture of experts: every token is sent to its best few of several small networks (Shazeer et al. 2017).

All experts exist, few are computed: tokens are sorted by expert and each expert runs once on its own. The one thing to
watch: a router that sends everything to one expert still trains; `balance` is the loss that keeps it from doing so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from embodia.core.errors import ConfigError
from embodia.nn.dit import FeedForward


@dataclass(frozen=True)
class Routing:
    """Where tokens go: chances (B N E) of all experts, the chosen ones (B N K) and their weights (B N K)."""

    chance: Tensor
    chosen: Tensor
    weight: Tensor

    def balance(self, mask: Tensor | None = None) -> Tensor:
        """Load-balancing loss (B,): 1 when every expert gets as many tokens as any other, E when one gets all.

        The product of an expert's share of the tokens and its mean chance, summed (Fedus et al. 2022, eq. 4), over the
        real tokens of each sample by itself, so that a sample's loss does not depend on its batch.
        """
        experts = self.chance.shape[-1]
        sent = torch.nn.functional.one_hot(self.chosen, experts).float().mean(2)
        real = self.chance.new_ones(self.chance.shape[:2]) if mask is None else mask.to(self.chance)
        count = real.sum(1, keepdim=True).clamp_min(1)
        share, chance = ((x * real[..., None]).sum(1) / count for x in (sent, self.chance))
        return experts * (share * chance).sum(-1)


class SparseMoe(nn.Module):
    """Tokens (B N D) through the `top` best of `experts` feed-forward networks of `hidden`, weighted by their chances.

    `expert` makes one, a plain feed-forward network if it is None. With one chosen expert its weight is its chance, so
    that the router learns; with several, weights sum to one.
    """

    def __init__(
        self,
        width: int,
        hidden: int,
        experts: int = 4,
        top: int = 1,
        expert: Callable[[], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        if not 1 <= top <= experts:
            raise ConfigError(f"{top} of {experts} experts cannot be chosen", leaf="top")
        self.top = top
        self.router = nn.Linear(width, experts, bias=False)
        self.experts = nn.ModuleList(expert() if expert else FeedForward(width, hidden) for _ in range(experts))

    def route(self, x: Tensor) -> Routing:
        """Which experts every token goes to; chances are computed in float32."""
        chance = self.router(x).float().softmax(-1)
        weight, chosen = chance.topk(self.top, dim=-1)
        return Routing(chance, chosen, weight if self.top == 1 else weight / weight.sum(-1, keepdim=True))

    def forward(self, x: Tensor, routing: Routing | None = None) -> Tensor:
        """(B N D)."""
        routing = routing or self.route(x)
        flat, out = x.flatten(0, 1), torch.zeros_like(x).flatten(0, 1)
        chosen, weight = routing.chosen.flatten(0, 1), routing.weight.flatten(0, 1).to(x.dtype)
        for index, expert in enumerate(self.experts):
            rows, place = torch.where(chosen == index)
            out = out.index_add(0, rows, expert(flat[rows]) * weight[rows, place, None])
        return out.view_as(x)
