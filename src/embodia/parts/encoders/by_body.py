"""A stem a body (prop.by_body, HPT): each body's senses go through layers of its own to the same few tokens.

What lies behind - the trunk - never learns which body it is, so its weights move from body to body. The one thing to
watch: stems are kept by the body's name, and an observation without a name belongs to the only body there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from embodia.core.errors import ConfigError
from embodia.core.names import nearest
from embodia.core.types import Observation, TokenGroup
from embodia.nn.dit import BlockSizes, Memory, NormedAttention


class ByBody(nn.Module):
    """The encoder of `observation.embodiment`. Raises `ConfigError`, naming the nearest, for a body without a stem."""

    def __init__(self, stems: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.names = {body: f"body{index}" for index, body in enumerate(stems)}
        self.stems = nn.ModuleDict({self.names[body]: stem for body, stem in stems.items()})

    def forward(self, observation: Observation) -> TokenGroup:
        """What that body's stem makes of it."""
        body = observation.embodiment or next(iter(self.names))
        if body not in self.names:
            near = nearest(body, list(self.names))
            cure = f"Did you mean {near!r}?" if near else f"Known bodies: {', '.join(self.names)}"
            raise ConfigError(f"there is no stem for the body {body!r}", leaf="embodiment", cure=cure)
        return self.stems[self.names[body]](observation)  # type: ignore[no-any-return]


class Stem(nn.Module):
    """`inner`'s group of any number of tokens of `features` to `count` tokens of `width` (HPT, section 3.2).

    A small perceptron, then learned queries that look at what it makes. With `asks` False they stay as they begin: of a
    group of one token every query reads the same.
    """

    def __init__(
        self, inner: nn.Module, features: int, width: int, count: int = 16, heads: int = 8, *, asks: bool = True
    ) -> None:
        super().__init__()
        self.inner = inner
        self.adapt = nn.Sequential(nn.Linear(features, width), nn.SiLU(), nn.Linear(width, width))
        self.queries = nn.Parameter(torch.randn(count, width))
        self.look = NormedAttention(BlockSizes(width=width, heads=heads))
        self.queries.requires_grad_(asks)
        self.look.query.requires_grad_(asks)

    def forward(self, observation: Observation) -> TokenGroup:
        """(B count width), named as the inner group; masked tokens are not looked at."""
        group: TokenGroup = self.inner(observation)
        tokens = group.tokens if group.position is None else group.tokens + group.position
        adapted: Tensor = self.adapt(tokens)
        memory = Memory(self.look.remember(adapted), None if group.mask is None else group.mask[:, None, None])
        queries = self.queries.expand(len(adapted), -1, -1)
        return replace(group, tokens=self.look(queries, memory.pair, memory.mask), mask=None, position=None)
