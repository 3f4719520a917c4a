"""Fusion of a late sense with what a language model has read, by experts that each token chooses (fuse.moe_modality).

What the model read and the sense's token attend to one another once, every token is sent to its expert, and the last
tokens, one an action, are what the action expert's output is shifted by before it becomes a velocity (ForceVLA's
FVLMoE). The one thing to watch: the sense never enters the language model, so its pretraining stays what it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from embodia.core.errors import ConfigError
from embodia.core.protocols import Context
from embodia.core.types import Batch
from embodia.nn.dit import Block, BlockSizes, norm
from embodia.nn.groups import token_mask
from embodia.nn.moe import Routing, SparseMoe
from embodia.nn.shared import Shared


@dataclass(frozen=True, kw_only=True)
class GuideConfig:
    """`hidden` is the width inside each of `experts`, 0 for that of the tokens; each token goes to the `top` best."""

    heads: int = 8
    hidden: int = 0
    experts: int = 4
    top: int = 1


class ExpertGuide(nn.Module):
    """The groups `read`, of `width`, to what is added to the last `horizon` tokens of `outputs` features."""

    def __init__(self, config: GuideConfig, read: tuple[str, ...], width: int, outputs: int, horizon: int) -> None:
        super().__init__()
        self.read, self.horizon = read, horizon
        hidden = config.hidden or width
        self.block = Block(BlockSizes(width=width, heads=config.heads, hidden=hidden, norm="affine"))
        self.moe_norm = norm("affine", width)
        self.moe = SparseMoe(width, hidden, config.experts, config.top)
        self.out = nn.Linear(width, outputs)

    def forward(self, context: Context) -> Tensor:
        """(B horizon outputs). Raises `ConfigError` when there are fewer tokens than actions."""
        mixed, _ = self._mixed(context)
        if mixed.shape[1] < self.horizon:
            raise ConfigError(f"{mixed.shape[1]} tokens cannot guide {self.horizon} actions", leaf="chunk")
        normed = self.moe_norm(mixed)
        found = mixed + self.moe(normed, self.moe.route(normed))
        return self.out(found[:, -self.horizon :])

    def routing(self, context: Context) -> tuple[Routing, Tensor]:
        """Where the tokens go, and which of them are real, bool (B N)."""
        mixed, mask = self._mixed(context)
        return self.moe.route(self.moe_norm(mixed)), mask

    def _mixed(self, context: Context) -> tuple[Tensor, Tensor]:
        groups = [context.groups[name] for name in self.read]
        tokens = torch.cat([group.tokens for group in groups], dim=1)
        mask = torch.cat([token_mask(group) for group in groups], dim=1)
        return self.block(tokens, mask=mask[:, None, None]), mask


class BalancedExperts(nn.Module):
    """The loss that keeps a guide's experts all in use, as a head of the policy."""

    def __init__(self, guide: ExpertGuide) -> None:
        super().__init__()
        self.guide = Shared(guide)

    def loss_terms(self, context: Context, batch: Batch, rng: torch.Generator | None) -> Mapping[str, Tensor]:
        """{"balance": (B,)}."""
        routing, mask = self.guide.routing(context)
        return {"balance": routing.balance(mask)}
