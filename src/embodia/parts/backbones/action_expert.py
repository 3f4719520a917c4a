"""An action expert: a second, narrower transformer whose layers look at the cached layers of the prefix model.

It is the velocity field of a flow decoder. What does not change between integration steps - the state token, the mask,
the rotary table, the cache - is prepared once in `condition` and reused by every step and every sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.protocols import Context
from embodia.core.types import TokenGroup
from embodia.nn.attention import Cache
from embodia.nn.expert import ExpertConfig, ExpertTransformer, Plan
from embodia.nn.groups import Span, concatenate, repeat, repeat_rows
from embodia.nn.periods import periodic_time
from embodia.nn.transformer import TransformerConfig, initialise
from embodia.parts.backbones.prefix import declare


@dataclass(frozen=True)
class Condition:
    """What every integration step reuses: tokens before the actions (B P D), the plan, what a guide adds (B H D)."""

    before: Tensor
    plan: Plan
    guide: Tensor | None = None


class ActionExpert(nn.Module):
    """Velocity of noisy actions (B H A) at a time (B,), given a prefix cache (pi0's suffix, arXiv 2410.24164).

    attention  suffix group name -> names it looks at, in order; the last one, "action", is made here from noisy actions
    optional   names that need not be there (a thought that was not thought); they are looked at where they are
    expert     how time enters and which layers look where; the default is pi0's
    within     "causal": an action looks at those before it alone
    insulated  True cuts the gradient from the actions into the prefix
    guide      context -> (B H D) or (B 1 D), added to the action tokens before they become a velocity (ForceVLA)
    """

    def __init__(
        self,
        config: TransformerConfig,
        action_dim: int,
        horizon: int,
        attention: Mapping[str, tuple[str, ...]],
        *,
        optional: tuple[str, ...] = (),
        expert: ExpertConfig | None = None,
        within: Literal["full", "causal"] = "full",
        insulated: bool = False,
        guide: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.attention, self.horizon, self.insulated = dict(attention), horizon, insulated
        self.optional = optional
        self.within: Literal["full", "causal"] = within
        self.transformer = ExpertTransformer(config, expert)
        self.adaptive = self.transformer.expert.time == "adaptive"
        self.action_in = nn.Linear(action_dim, config.width)
        self.time_in = nn.Linear((1 if self.adaptive else 2) * config.width, config.width)
        self.time_out = nn.Linear(config.width, config.width)
        self.action_out = nn.Linear(config.width, action_dim)
        for layer in (self.action_in, self.time_in, self.time_out, self.action_out):
            initialise(layer, config.depth)
        self.guide = guide

    def condition(self, context: Context, n: int = 1) -> Condition:
        """What all steps of n samples share: B * n rows, the samples of one batch entry adjacent."""
        cache: Cache = context.cache.detach() if self.insulated else context.cache
        attention = self._attention(cache)
        before = [declare(context.groups, name, seen) for name, seen in attention.items() if name != "action"]
        blank = self.action_in.weight.new_zeros(len(cache.mask), self.horizon, self.action_in.out_features)
        seen = attention["action"]
        actions = TokenGroup(name="action", tokens=blank, mask=None, attends_to=seen, within=self.within)
        plan = self.transformer.plan(concatenate([*before, actions]), cache)
        guide = None if self.guide is None else repeat_rows(self.guide(context), n)
        tokens = blank[:, :0] if not before else concatenate([repeat(group, n) for group in before]).tokens
        return Condition(tokens if before else repeat_rows(tokens, n), plan.repeat(n), guide)

    def forward(self, condition: Condition, actions: Tensor, time: Tensor) -> Tensor:
        """Velocity (B H A) float32 at noisy `actions` (B H A) and `time` (B,), for B rows of the condition."""
        features = self.action_in(actions.to(self.action_in.weight.dtype))
        moment = periodic_time(time, features.shape[-1]).to(features.dtype)
        if self.adaptive:
            tokens, steer = features, F.silu(self.time_out(F.silu(self.time_in(moment))))
        else:
            spread = moment[:, None, :].expand_as(features)
            tokens, steer = self.time_out(F.silu(self.time_in(torch.cat([features, spread], dim=-1)))), None
        before = condition.before.to(tokens.dtype)
        found = self.transformer.run(torch.cat([before, tokens], dim=1), condition.plan, steer)[:, before.shape[1] :]
        return self.action_out(found if condition.guide is None else found + condition.guide).float()

    def _attention(self, cache: Cache) -> dict[str, tuple[str, ...]]:
        lost = set(self.optional) - {item.name for item in cache.spans}
        return {name: tuple(one for one in seen if one not in lost) for name, seen in self.attention.items()}

    def spans(self, lengths: Mapping[str, int]) -> list[Span]:
        """The suffix's declaration for a table; `lengths` gives the number of tokens of the groups before "action"."""
        sizes = {**lengths, "action": self.horizon}
        within = {"action": self.within}
        return [
            Span(name=name, length=sizes[name], attends_to=seen, within=within.get(name, "full"))
            for name, seen in self.attention.items()
        ]
