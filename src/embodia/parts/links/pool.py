"""One vector from above (link.pool): the slower system's groups pooled, and what the faster one does with it.

Helix and OpenHelix hand over a latent that the faster system reads as one more token; HiRT's also scales and shifts its
features (FiLM). Gradients run through the vector unless the link is cut. The one thing to watch: the vector is as old
as the message; whoever trains with fresh ones acts worse with stale ones.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from embodia.core.protocols import Groups
from embodia.core.types import Message, TokenGroup
from embodia.nn.groups import token_mask

Pool = Literal["mean", "last", "attention"]


class PoolLink(nn.Module):
    """Groups `read` of the upper system (width `above`) to the group "latent" (B 1 width) of the lower one.

    pool   "mean" over all tokens, the "last" token, or "attention" of one learned query (HiRT's MAP pooling)
    film   names of lower groups whose tokens are scaled and shifted by the vector; the maps begin at zero
    cut    no gradient crosses the link
    token  False leaves the group "latent" out: the vector then only modulates
    """

    def __init__(
        self,
        above: int,
        width: int,
        *,
        read: tuple[str, ...],
        pool: Pool = "mean",
        film: tuple[str, ...] = (),
        cut: bool = False,
        token: bool = True,
        rate_hz: float = 8.0,
    ) -> None:
        super().__init__()
        self.read, self.pool, self.cut, self.rate_hz = read, pool, cut, rate_hz
        self.query = nn.Linear(above, 1) if pool == "attention" else None
        self.down = nn.Sequential(nn.LayerNorm(above), nn.Linear(above, width))
        self.films = nn.ModuleDict({name: nn.Linear(width, 2 * width) for name in film})
        for layer in self.films.values():
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.position = nn.Parameter(torch.randn(1, width)) if token else None

    def emit(self, upper: Groups) -> Message:
        """{"latent": (B width)}."""
        tokens = torch.cat([upper[name].tokens for name in self.read], dim=1)
        mask = torch.cat([token_mask(upper[name]) for name in self.read], dim=1)
        vector = self.down(self._pooled(tokens, mask))
        return Message(arrays={"latent": vector.detach() if self.cut else vector})

    def absorb(self, groups: Groups, message: Message) -> dict[str, TokenGroup]:
        """The groups, modulated where asked for, and the group "latent"."""
        vector = message.arrays["latent"]
        found = {name: self._modulated(group, vector) for name, group in groups.items()}
        if self.position is not None:
            found["latent"] = TokenGroup(
                name="latent", tokens=vector[:, None], mask=None, attends_to=("latent",), position=self.position
            )
        return found

    def _pooled(self, tokens: Tensor, mask: Tensor) -> Tensor:
        if self.pool == "last":
            return tokens[:, -1]
        if self.query is None:
            weight = mask / mask.sum(1, keepdim=True).clamp_min(1)
        else:
            weight = self.query(tokens)[..., 0].masked_fill(~mask, -1e9).softmax(-1)
        return (weight[..., None] * tokens).sum(1)

    def _modulated(self, group: TokenGroup, vector: Tensor) -> TokenGroup:
        if group.name not in self.films:
            return group
        scale, shift = self.films[group.name](vector)[:, None].chunk(2, dim=-1)
        return replace(group, tokens=group.tokens * (1 + scale) + shift)
