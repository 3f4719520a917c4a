"""An action expert: a second, narrower transformer whose layers look at the cached layers of the prefix model.

It is the velocity field of a flow decoder. What does not change between integration steps - the state token, the mask,
the rotary table, the cache - is prepared once in `condition` and reused by every step and every sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.protocols import Context
from embodia.core.types import TokenGroup
from embodia.nn.attention import Cache, Table
from embodia.nn.groups import Span, concatenate, repeat, repeat_rows
from embodia.nn.periods import periodic_time
from embodia.nn.transformer import Transformer, TransformerConfig, initialise
from embodia.parts.backbones.prefix import declare


@dataclass(frozen=True)
class Condition:
    """What every integration step reuses: tokens before the actions (B P D), prefix cache, rotary table, mask."""

    before: Tensor
    cache: Cache
    table: Table
    mask: Tensor


class ActionExpert(nn.Module):
    """Velocity of noisy actions (B H A) at a time (B,), given a prefix cache (pi0's suffix, arXiv 2410.24164).

    attention  suffix group name -> names it looks at, in order; the last one, "action", is made here from noisy actions
    insulated  True cuts the gradient from the actions into the prefix
    """

    def __init__(
        self,
        config: TransformerConfig,
        action_dim: int,
        horizon: int,
        attention: Mapping[str, tuple[str, ...]],
        *,
        insulated: bool = False,
    ) -> None:
        super().__init__()
        self.attention, self.horizon, self.insulated = dict(attention), horizon, insulated
        self.transformer = Transformer(config)
        self.action_in = nn.Linear(action_dim, config.width)
        self.time_in = nn.Linear(2 * config.width, config.width)
        self.time_out = nn.Linear(config.width, config.width)
        self.action_out = nn.Linear(config.width, action_dim)
        for layer in (self.action_in, self.time_in, self.time_out, self.action_out):
            initialise(layer, config.depth)

    def condition(self, context: Context, n: int = 1) -> Condition:
        """What all steps of n samples share: B * n rows, the samples of one batch entry adjacent."""
        before = [declare(context.groups, name, seen) for name, seen in self.attention.items() if name != "action"]
        batch, width = before[0].tokens.shape[0], self.action_in.out_features
        blank = before[0].tokens.new_zeros(batch, self.horizon, width)
        actions = TokenGroup(name="action", tokens=blank, mask=None, attends_to=self.attention["action"])
        cache: Cache = context.cache.detach() if self.insulated else context.cache
        table, mask = self.transformer.plan(concatenate([*before, actions]), cache)
        tokens = concatenate([repeat(group, n) for group in before]).tokens
        rows = tuple(repeat_rows(part, n) for part in table)
        return Condition(tokens, cache.repeat(n), (rows[0], rows[1]), repeat_rows(mask, n))

    def forward(self, condition: Condition, actions: Tensor, time: Tensor) -> Tensor:
        """Velocity (B H A) float32 at noisy `actions` (B H A) and `time` (B,), for B rows of the condition."""
        features = self.action_in(actions.to(self.action_in.weight.dtype))
        moment = periodic_time(time, features.shape[-1])[:, None, :].expand_as(features).to(features.dtype)
        tokens = self.time_out(F.silu(self.time_in(torch.cat([features, moment], dim=-1))))
        before = condition.before.to(tokens.dtype)
        joined = torch.cat([before, tokens], dim=1)
        found, _ = self.transformer.run(joined, condition.table, condition.mask, condition.cache)
        return self.action_out(found[:, before.shape[1] :]).float()

    def spans(self, lengths: Mapping[str, int]) -> list[Span]:
        """The suffix's declaration for a table; `lengths` gives the number of tokens of the groups before "action"."""
        sizes = {**lengths, "action": self.horizon}
        return [Span(name=name, length=sizes[name], attends_to=seen) for name, seen in self.attention.items()]
