"""A language model that reads what was sensed and said once, and leaves a cache for whoever acts on it.

Which group looks at which is declared here, by name, in one table. The one thing to watch: an action expert looks at
the cache of every layer and never at the final output, so the rest of the last layer cannot learn from it. By default
those weights do not exist; `complete` keeps them, frozen, for checkpoints of public language models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import nn

from embodia.core.errors import ConfigError
from embodia.core.protocols import Groups
from embodia.core.types import TokenGroup
from embodia.nn.attention import Cache
from embodia.nn.transformer import Transformer, TransformerConfig


class PrefixModel(nn.Module):
    """Groups named in `attention` go through the transformer, in that order; all others pass by untouched.

    attention  group name -> names it looks at
    complete   hold the whole last layer and the final norm although only the cache is read
    """

    def __init__(
        self, config: TransformerConfig, attention: Mapping[str, tuple[str, ...]], *, complete: bool = False
    ) -> None:
        super().__init__()
        self.attention = dict(attention)
        self.transformer = Transformer(config, outputs=complete)
        for parameter in self.transformer.unread_parameters():
            parameter.requires_grad_(False)

    def forward(self, groups: Groups, cache: Cache | None = None) -> tuple[dict[str, TokenGroup], Cache]:
        """The groups as they went in, attention as declared, and the cache. Raises `ConfigError` for a lost group."""
        prefix = [declare(groups, name, seen) for name, seen in self.attention.items()]
        _, longer = self.transformer(prefix, cache, outputs=False)
        return {**groups, **{group.name: group for group in prefix}}, longer


def declare(groups: Groups, name: str, attends_to: tuple[str, ...]) -> TokenGroup:
    """The group of that name with its attention as declared and its position, where it has one, added to its tokens."""
    if name not in groups:
        raise ConfigError(f"there is no token group {name!r}, only {sorted(groups)}", leaf=name)
    group = groups[name]
    tokens = group.tokens if group.position is None else group.tokens + group.position
    return replace(group, tokens=tokens, attends_to=attends_to, position=None)
