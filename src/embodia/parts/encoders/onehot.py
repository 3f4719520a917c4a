"""A task code (txt.onehot): every sentence is a number, and numbers know nothing of each other.

The closed task set of the early policies: a sentence the policy was not trained with selects a code that means nothing.
That is the point of this part; it is the baseline language is measured against. Sentences become numbers by a checksum,
so that no list of tasks has to be kept; the one thing to watch is that two tasks may share a code (1 in `codes`).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from embodia.core.types import Observation, TokenGroup


def task_codes(sentences: Sequence[str], codes: int) -> Tensor:
    """Int64 (B,) in [0, codes): the same sentence has the same code on every machine."""
    return torch.tensor([zlib.crc32(text.strip().lower().encode()) % codes for text in sentences])


class OneHotTask(nn.Module):
    """Sentences to the group "language", (B 1 width): one row of a table each (a linear map of a one-hot vector)."""

    def __init__(self, width: int, codes: int = 1024) -> None:
        super().__init__()
        self.table = nn.Embedding(codes, width)

    def forward(self, observation: Observation) -> TokenGroup:
        """One token a sentence."""
        codes = task_codes(observation.instruction, self.table.num_embeddings).to(self.table.weight.device)
        return TokenGroup(name="language", tokens=self.table(codes)[:, None], mask=None, attends_to=("language",))
