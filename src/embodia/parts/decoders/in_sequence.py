"""A language model that denoises actions inside its own sequence (HybridVLA): a token of time, then the noisy actions.

Every step of the walk reads them behind the cache of what was seen and said, and leaves the cache as it was. The one
thing to watch: each step costs a pass through the whole language model over a few tokens.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from embodia.core.protocols import Context
from embodia.core.types import TokenGroup
from embodia.nn.dit import FeedForward, TimeMlp, initialise


class InSequence(nn.Module):
    """Prediction (B H A) at noisy actions by the context's own backbone of `width`; see `Denoiser`.

    `within` is the pattern among time and actions: "causal" in a causal model, "full" where a prefix sees itself whole.
    """

    def __init__(self, width: int, action_dim: int, *, within: Literal["full", "causal"] = "causal") -> None:
        super().__init__()
        self.within: Literal["full", "causal"] = within
        self.time = TimeMlp(width)
        self.embed = FeedForward(action_dim, width, width)
        self.out = FeedForward(width, width, action_dim)
        initialise(self.embed)
        initialise(self.out)

    def condition(self, context: Context, n: int = 1) -> Context:
        """The context, every row n times."""
        return context.repeat(n)

    def forward(self, context: Context, noisy: Tensor, time: Tensor) -> Tensor:
        """(B H A)."""
        cache: Any = context.cache
        like = next(iter(context.groups.values())).tokens
        moment = self.time(time, like.dtype)[:, None]
        tokens = torch.cat([moment, self.embed(noisy.to(like.dtype))], dim=1)
        seen = (*(item.name for item in cache.spans), "noise")
        group = TokenGroup(name="noise", tokens=tokens, mask=None, attends_to=seen, within=self.within)
        return self.out(context.extend({"noise": group}).groups["noise"].tokens[:, 1:]).float()
