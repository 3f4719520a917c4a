"""A language model over everything that was sensed and said: hidden states for whoever reads them, a cache to go on.

Which group looks at which is declared in one table by name, so the same class is a causal model (Llama), a prefix model
(PaliGemma: sees the whole prefix at once, then speaks word by word) and anything between. The one thing to watch: a
group that comes later, behind the cache, brings its own declaration; one that continues the last group of the cache
under the same name sees what came before as its `within` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, Protocol

from torch import Tensor, nn

from embodia.core.protocols import Groups
from embodia.core.types import TokenGroup
from embodia.nn.attention import Cache
from embodia.nn.groups import split
from embodia.nn.vocabulary import Vocabulary
from embodia.parts.backbones.prefix import declare

__all__ = ["Engine", "LanguageModel", "Vocabulary", "block_table"]


class Engine(Protocol):
    """The layers of a language model without its words: our own `nn.transformer.Transformer`, or `HubTransformer`."""

    def __call__(
        self, groups: list[TokenGroup], cache: Cache | None = None, *, outputs: bool | None = None
    ) -> tuple[Tensor | None, Cache]:
        """Hidden states (B N D), or None without outputs, and the cache of everything so far."""
        ...


class LanguageModel(nn.Module):
    """Groups named in `attention` go through the engine, in that order; all others pass by untouched.

    attention   group name -> names it looks at
    vocabulary  word table owned by this model, if it has one; others hold it as `Shared`
    within      "full" or "causal" inside every group of the table; None keeps what the group says
    outputs     False: nobody reads the hidden states of the first call, its last layer then computes the cache alone
    """

    def __init__(
        self,
        engine: nn.Module,
        attention: Mapping[str, tuple[str, ...]],
        vocabulary: Vocabulary | None = None,
        *,
        within: Literal["full", "causal"] | None = None,
        outputs: bool = True,
    ) -> None:
        super().__init__()
        self.attention, self.within, self.outputs = dict(attention), within, outputs
        self.engine = engine
        self.vocabulary = vocabulary

    def forward(self, groups: Groups, cache: Cache | None = None) -> tuple[dict[str, TokenGroup], Cache]:
        """Groups with hidden states in place of their tokens, and the longer cache.

        Without a cache the groups are those of the table, behind one they are all that are given. Raises `ConfigError`
        for a group that is missing or for attention that cannot be computed.
        """
        if cache is None:
            ready = [self._declared(groups, name) for name in self.attention]
            hidden, longer = self.engine(ready, None, outputs=self.outputs)
        else:
            ready = [
                declare(groups, name, self.attention.get(name, group.attends_to)) for name, group in groups.items()
            ]
            hidden, longer = self.engine(ready, cache, outputs=True)
        found = {group.name: group for group in ready} if hidden is None else split(hidden, ready)
        return {**groups, **found}, longer

    def _declared(self, groups: Groups, name: str) -> TokenGroup:
        group = declare(groups, name, self.attention[name])
        return group if self.within is None else replace(group, within=self.within)


def block_table(*blocks: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Attention by blocks: the groups of a block see one another and all blocks before it."""
    table: dict[str, tuple[str, ...]] = {}
    seen: tuple[str, ...] = ()
    for block in blocks:
        seen = (*seen, *block)
        table.update(dict.fromkeys(block, seen))
    return table
