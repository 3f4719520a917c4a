"""What a decoder looks at: the groups a backbone has read, its cache, and the way to let it read on.

Words and actions that are produced one after another are groups behind the cache: `extend` runs the backbone on them,
in training with the truth, in use token by token. A context is a value; extending one leaves it as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from embodia.core.errors import ConfigError
from embodia.core.protocols import Backbone
from embodia.core.types import TokenGroup
from embodia.nn.groups import repeat


@dataclass(frozen=True, kw_only=True)
class Context:
    """Groups by name, the backbone's cache, and the backbone itself where it can read on."""

    groups: Mapping[str, TokenGroup]
    cache: Any = None
    backbone: Backbone | None = None

    def extend(self, groups: Mapping[str, TokenGroup]) -> Context:
        """The backbone has read `groups` too: they are added with new tokens, the cache is longer; differentiable.

        Raises `ConfigError` when there is no backbone with a cache.
        """
        if self.backbone is None or self.cache is None:
            raise ConfigError("only a backbone with a cache can read on", leaf="backbone")
        new, cache = self.backbone(groups, self.cache)
        return replace(self, groups={**self.groups, **new}, cache=cache)

    def repeat(self, times: int) -> Context:
        """Each batch entry `times` times in a row; a batch of one is expanded without a copy."""
        if times == 1:
            return self
        groups = {name: repeat(group, times) for name, group in self.groups.items()}
        cache = None if self.cache is None else self.cache.repeat(times)
        return replace(self, groups=groups, cache=cache)
