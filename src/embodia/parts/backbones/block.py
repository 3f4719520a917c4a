"""A transformer with attention declared in blocks over time (bb.block_mask, Octo): task, observed steps, readouts.

A token of one step sees its own step and those before it, the task is seen by all, a readout sees everything and is
seen by nobody: so a sense can be added to a trained policy without changing what the others compute. The one thing to
watch: groups that the table lists before the first step are the task, groups after the last step are readouts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from embodia.core.protocols import Groups
from embodia.core.types import TokenGroup
from embodia.nn.dit import Blocks, BlockSizes, norm
from embodia.nn.groups import concatenate, declared, split, verify
from embodia.parts.backbones.prefix import declare


class BlockTransformer(nn.Module):
    """Groups in, groups out; no cache.

    attention  group name -> names it looks at, in order
    steps      tokens a step of the groups that have steps
    learned    group name -> (steps, tokens) of learned positions, which replace those the group brings
    """

    def __init__(
        self,
        sizes: BlockSizes,
        depth: int,
        attention: Mapping[str, tuple[str, ...]],
        steps: Mapping[str, int],
        learned: Mapping[str, tuple[int, int]] | None = None,
    ) -> None:
        super().__init__()
        self.attention, self.steps = dict(attention), dict(steps)
        self.blocks = Blocks(sizes, depth)
        self.norm = norm(sizes.norm, sizes.width)
        tables = {name: 0.02 * torch.randn(*shape, sizes.width) for name, shape in (learned or {}).items()}
        self.positions = nn.ParameterDict(tables)

    def forward(self, groups: Groups, cache: Any = None) -> tuple[dict[str, TokenGroup], Any]:
        """Groups of the same shapes; `cache` is handed back untouched. Raises `ConfigError` for a lost group."""
        ready = [self._placed(groups, name) for name in self.attention]
        joined = concatenate(ready)
        verify(joined.spans)
        when = self.when(ready).to(joined.tokens.device)
        allowed = declared(joined.spans, joined.spans, joined.tokens.device) & (when[:, None] >= when[None])
        x = self.blocks(joined.tokens, mask=(allowed & joined.mask[:, None])[:, None])
        return {**groups, **split(self.norm(x), ready)}, cache

    def when(self, ready: list[TokenGroup]) -> Tensor:
        """The step of every token, int64 (N,): -1 for the task, beyond every step for readouts."""
        rows, step = [], -1
        for group in ready:
            count = group.tokens.shape[1]
            if group.name in self.steps:
                rows.append(torch.arange(count) // self.steps[group.name])
                step = 2**31
            else:
                rows.append(torch.full((count,), step))
        return torch.cat(rows)

    def _placed(self, groups: Groups, name: str) -> TokenGroup:
        group = declare(groups, name, self.attention[name])
        if name not in self.positions:
            return group
        tokens = groups[name].tokens
        table = self.positions[name]
        steps = tokens.shape[1] // table.shape[1]
        return replace(group, tokens=tokens + table[:steps].flatten(0, 1), position=None)
