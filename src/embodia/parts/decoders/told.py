"""What a language model's hidden states tell a denoiser: their mean, the body's raw state, and a line of reasoning.

The mean of all tokens is normalised and joined with the state (TinyVLA); where the model has spoken before acting,
the words' hidden states scale and shift it first (DiffusionVLA's reasoning injection). The one thing to watch: without
words - a policy that keeps silent, a row whose text is empty - the reasoning is a vector of zeros, and nothing moves.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from embodia.core.protocols import Context
from embodia.core.types import TokenGroup
from embodia.nn.film import Film
from embodia.nn.groups import token_mask


def condition_on(net: nn.Module, read: tuple[str, ...], context: Context, n: int) -> Any:
    """What the denoiser `net` makes of the groups `read`, all of them when empty; every row n times."""
    if read:
        context = replace(context, groups={name: context.groups[name] for name in read})  # type: ignore[type-var]
    return net.condition(context, n)  # type: ignore[operator]


class ToldDenoiser(nn.Module):
    """A denoiser `net` that reads one token of `width`, made of the groups `read` and the newest raw "proprio".

    `reasoning` names the group of words that modulates it, "" = none.
    """

    def __init__(
        self, net: nn.Module, width: int, state_dim: int, *, read: tuple[str, ...], reasoning: str = ""
    ) -> None:
        super().__init__()
        self.net, self.read, self.reasoning = net, read, reasoning
        self.film = Film(width, width) if reasoning else None
        self.norm = nn.LayerNorm(width)
        self.join = nn.Linear(width + state_dim, width)

    def condition(self, context: Context, n: int = 1) -> Any:
        """What `net` makes of the one token "told"."""
        groups = [context.groups[name] for name in self.read]
        told = mean_token(groups)
        if self.film is not None:
            words = context.groups.get(self.reasoning)
            told = self.film(told, torch.zeros_like(told) if words is None else mean_token([words]))
        state = context.groups["proprio"].tokens[:, -1].to(told.dtype)
        token = self.join(torch.cat([self.norm(told), state], dim=-1))[:, None]
        group = TokenGroup(name="told", tokens=token, mask=None, attends_to=("told",))
        return self.net.condition(replace(context, groups={"told": group}), n)  # type: ignore[type-var, operator]

    def forward(self, condition: Any, noisy: Tensor, time: Tensor) -> Tensor:
        """(B H A)."""
        return self.net(condition, noisy, time)  # type: ignore[no-any-return]


def mean_token(groups: list[TokenGroup]) -> Tensor:
    """The mean (B D) of all real tokens of the groups, zeros where there is none."""
    tokens = torch.cat([group.tokens for group in groups], dim=1)
    real = torch.cat([token_mask(group) for group in groups], dim=1)[..., None].to(tokens.dtype)
    return (tokens * real).sum(1) / real.sum(1).clamp_min(1)
