"""Several groups laid end to end under one name, for a decoder that looks at a single memory."""

from __future__ import annotations

from typing import Any

from torch import nn

from embodia.core.protocols import Groups
from embodia.core.types import TokenGroup
from embodia.nn.groups import concatenate
from embodia.nn.tokens import positioned


class Together(nn.Module):
    """Puts the group `name` in the place of the groups `parts`, in that order; all others pass by."""

    def __init__(self, parts: tuple[str, ...], name: str) -> None:
        super().__init__()
        self.parts, self.name = parts, name

    def forward(self, groups: Groups, cache: Any = None) -> tuple[dict[str, TokenGroup], Any]:
        """`cache` is handed back untouched. Raises `ConfigError` where widths disagree."""
        joined = concatenate([positioned(groups[name], (self.name,)) for name in self.parts])
        rest = {name: group for name, group in groups.items() if name not in self.parts}
        whole = TokenGroup(name=self.name, tokens=joined.tokens, mask=joined.mask, attends_to=(self.name,))
        return {**rest, self.name: whole}, cache
