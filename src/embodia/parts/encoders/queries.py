"""Learned tokens: readouts, queries and registers, as a group among groups.

A readout looks at what was sensed and is looked at by nobody, so it can be added to a trained model without changing
what that model computes.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from embodia.core.types import Observation, TokenGroup
from embodia.nn.shared import Shared
from embodia.nn.vocabulary import Vocabulary


class LearnedTokens(nn.Module):
    """`count` learned tokens of `width` as the group `name`, the same for every observation.

    `attends_to` names what they look at; empty is themselves only, until a backbone's table says otherwise.
    """

    def __init__(
        self,
        name: str,
        count: int,
        width: int,
        attends_to: tuple[str, ...] = (),
        *,
        within: Literal["full", "causal"] = "full",
    ) -> None:
        super().__init__()
        self.name, self.within = name, within
        self.attends_to: tuple[str, ...] = attends_to or (name,)
        self.tokens = nn.Parameter(torch.randn(count, width))

    def forward(self, observation: Observation) -> TokenGroup:
        """(B count width)."""
        tokens = self.tokens.expand(observation.batch_size, -1, -1)
        return TokenGroup(name=self.name, tokens=tokens, mask=None, attends_to=self.attends_to, within=self.within)


class SpelledTokens(nn.Module):
    """Given pieces of a language model's vocabulary as the group `name`, the same for every observation.

    A piece -1 is silent: zeros, a place for something to be read off (OpenVLA-OFT's placeholders).
    """

    ids: torch.Tensor

    def __init__(self, name: str, words: Shared[Vocabulary], pieces: tuple[int, ...]) -> None:
        super().__init__()
        self.name, self.words = name, words
        self.register_buffer("ids", torch.tensor(pieces), persistent=False)

    def forward(self, observation: Observation) -> TokenGroup:
        """(B pieces width)."""
        spoken = self.words.embed(self.ids.clamp_min(0)) * (self.ids >= 0).to(self.words.table.weight)[:, None]
        tokens = spoken.expand(observation.batch_size, -1, -1)
        return TokenGroup(name=self.name, tokens=tokens, mask=None, attends_to=(self.name,))
