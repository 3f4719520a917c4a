"""A language model that looks at pictures through gates (fuse.gated_xattn): Flamingo's way.

Words go through the language model's own layers; before every `every`-th of them, a gated layer lets them look at the
picture's tokens, which are no part of the sequence. The one thing to watch: with closed gates, as Flamingo begins, a
policy learns nothing of the picture until they open; a model that is trained from scratch begins with them ajar.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from embodia.core.types import TokenGroup
from embodia.nn.cross import CrossSizes, GatedCrossLayer
from embodia.nn.groups import concatenate, split
from embodia.nn.tokens import positioned
from embodia.nn.transformer import Transformer, TransformerConfig


class GatedLanguageModel(nn.Module):
    """Groups but `media` are words, all seeing one another; `media` (B M memory) is looked at and passes by."""

    def __init__(
        self,
        config: TransformerConfig,
        memory: int,
        *,
        media: str = "image",
        every: int = 1,
        sizes: CrossSizes | None = None,
        gate: float = 0.0,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        self.media, self.every = media, every
        self.transformer = Transformer(config)
        if frozen:
            self.transformer.requires_grad_(False)
        count = len(range(0, config.depth, every))
        self.norm = nn.LayerNorm(memory)
        chosen = sizes or CrossSizes()
        self.gated = nn.ModuleList(GatedCrossLayer(config.width, memory, chosen, gate) for _ in range(count))

    def forward(self, groups: Mapping[str, TokenGroup], cache: Any = None) -> tuple[dict[str, TokenGroup], Any]:
        """Words as hidden states, `media` as it was; `cache` is handed back untouched."""
        media = groups[self.media]
        names = tuple(name for name in groups if name != self.media)
        words = [positioned(groups[name], names) for name in names]
        joined = concatenate(words)
        table, mask = self.transformer.plan(joined, None)
        x, memory = joined.tokens, self.norm(positioned(media, (self.media,)).tokens)
        for index, layer in enumerate(self.transformer.layers):
            if index % self.every == 0:
                x = self.gated[index // self.every](x, memory, media.mask)
            x, _ = layer(x, table, mask, None)
        return {**groups, **split(self.transformer.norm(x), words)}, cache  # type: ignore[misc]
