"""The word table of a language model: ids to vectors, hidden states to logits.

The one thing to watch: Gemma multiplies its embeddings by the root of the width and Llama does not; a checkpoint read
with the wrong `scale` runs and speaks nonsense.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.errors import ConfigError

Head = Literal["tied", "own", "none"]


class Vocabulary(nn.Module):
    """`size` words of `width`. The head is tied to the embeddings, has weights of its own, or does not exist.

    `scale` multiplies embeddings on their way in; 0 stands for the root of the width.
    """

    def __init__(self, size: int, width: int, *, head: Head = "tied", scale: float = 1.0, bias: bool = False) -> None:
        super().__init__()
        self.size, self.width = size, width
        self.scale = scale or math.sqrt(width)
        self.table = nn.Embedding(size, width)
        self.head = nn.Linear(width, size, bias=bias) if head == "own" else None
        self.speaks = head != "none"
        nn.init.normal_(self.table.weight, std=1 / self.scale if head == "tied" else 1.0 / max(1.0, self.scale))
        if self.head is not None:
            nn.init.normal_(self.head.weight, std=1 / math.sqrt(width))

    def embed(self, ids: Tensor) -> Tensor:
        """Vectors (... width) of ids (...) int64."""
        tokens: Tensor = self.table(ids.to(self.table.weight.device))
        if self.scale == 1.0:
            return tokens
        return tokens * torch.tensor(self.scale, dtype=tokens.dtype, device=tokens.device)

    def logits(self, hidden: Tensor, first: int = 0, count: int = 0) -> Tensor:
        """Logits (... size) of hidden states (... width); `count` > 0 computes those of ids first..first+count only.

        Raises `ConfigError` when the vocabulary has no head.
        """
        if not self.speaks:
            raise ConfigError("this vocabulary was built without a head; it cannot speak", leaf="head")
        if self.head is not None:
            found: Tensor = self.head(hidden)
            return found[..., first : first + count] if count else found
        return F.linear(hidden, self.table.weight[first : first + count] if count else self.table.weight)
