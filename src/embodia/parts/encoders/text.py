"""A sentence to the word embeddings of a language model (txt.prompt): one token a piece of text.

The tokenizer is handed in, because pieces and embedding table belong together; it is not part of the weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from embodia.core.types import Observation, TokenGroup

Tokenizer = Callable[[Sequence[str]], tuple[Tensor, Tensor]]
"""Sentences to ids int64 (B L) and mask bool (B L)."""


class TextTokens(nn.Module):
    """Sentences to the group "language", (B L width); embeddings are scaled by the root of the width, as in Gemma."""

    def __init__(self, tokenizer: Tokenizer, vocabulary: int, width: int) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.embed = nn.Embedding(vocabulary, width)
        self.scale = math.sqrt(width)
        nn.init.normal_(self.embed.weight, std=1 / self.scale)

    def forward(self, observation: Observation) -> TokenGroup:
        ids, mask = self.tokenizer(observation.instruction)
        device = self.embed.weight.device
        scale = torch.tensor(self.scale, dtype=self.embed.weight.dtype, device=device)
        tokens = self.embed(ids.to(device)) * scale
        return TokenGroup(name="language", tokens=tokens, mask=mask.to(device), attends_to=("language",))
