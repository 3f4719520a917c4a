"""Blocks in common (link.shared): the fast system is the last part of the slow one.

Fast-in-Slow runs the last transformer blocks of its vision-language model a second time, more often, on fresh senses
and the slow system's last message. The one thing to watch: the blocks are owned by the slow system; here they are only
used, so both systems train them and a checkpoint holds them once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from embodia.core.types import TokenGroup
from embodia.nn.groups import concatenate, split
from embodia.nn.shared import Shared
from embodia.nn.tokens import positioned
from embodia.nn.transformer import Transformer


class SharedBlocks(nn.Module):
    """A backbone made of the last `blocks` layers of a transformer that belongs to another system.

    All groups see one another; they have the transformer's width.
    """

    def __init__(self, transformer: Shared[Transformer], blocks: int) -> None:
        super().__init__()
        self.transformer, self.blocks = transformer, blocks

    def forward(self, groups: Mapping[str, TokenGroup], cache: Any = None) -> tuple[dict[str, TokenGroup], Any]:
        """Groups of the same shapes; `cache` is handed back untouched."""
        ready = [positioned(group, tuple(groups)) for group in groups.values()]
        joined = concatenate(ready)
        table, mask = self.transformer.plan(joined, None)
        x = joined.tokens
        for layer in list(self.transformer.layers)[-self.blocks :]:
            x, _ = layer(x, table, mask, None)
        return split(self.transformer.norm(x), ready), cache
