"""Actions as written numbers (tok.text): "0.53 -0.12 ..." in characters, so that any language model can write them.

Nothing is fitted and nothing is added to a vocabulary; the price is several ids a number. `write` and `read` are the
text itself, for models with their own text pieces; `encode` and `decode` use an alphabet of fourteen characters. The
one thing to watch: a reader must survive any text, so what cannot be read as a number counts as zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from embodia.parts.tokenizers.protocol import PADDING, require_chunk

CHARACTERS = "0123456789.- ;"


class NumberTokenizer(nn.Module):
    """(B H A) to characters: spaces between numbers, semicolons between steps.

    `precision` digits follow the dot; numbers are cut to -9.99..; the error is at most half the last digit.
    """

    def __init__(self, chunk: int, dim: int, precision: int = 2) -> None:
        super().__init__()
        self.chunk, self.dim, self.precision = chunk, dim, precision
        self.vocabulary = len(CHARACTERS)
        self.length = chunk * dim * (precision + 4)

    def write(self, actions: Tensor) -> list[str]:
        """One text a chunk (B H A)."""
        require_chunk(actions, self.chunk, self.dim)
        bound = 10 - 10**-self.precision
        rows = actions.clamp(-bound, bound).tolist()
        return [";".join(" ".join(self._number(value) for value in step) for step in row) for row in rows]

    def read(self, texts: Sequence[str]) -> Tensor:
        """Chunks float32 (B H A) from texts; what is missing or no number is zero, what is too much is left out."""
        actions = torch.zeros(len(texts), self.chunk, self.dim)
        for index, text in enumerate(texts):
            for step, part in enumerate(text.split(";")[: self.chunk]):
                for column, word in enumerate(part.split()[: self.dim]):
                    actions[index, step, column] = _number_of(word)
        return actions

    def encode(self, actions: Tensor) -> Tensor:
        """Ids int64 (B length) of the characters, padded."""
        ids = torch.full((len(actions), self.length), PADDING, dtype=torch.long)
        for index, text in enumerate(self.write(actions)):
            ids[index, : len(text)] = torch.tensor([CHARACTERS.index(character) for character in text])
        return ids.to(actions.device)

    def decode(self, ids: Tensor) -> Tensor:
        """Actions float32 (B H A); ids that are no character are left out."""
        rows = ["".join(CHARACTERS[i] for i in row if 0 <= i < len(CHARACTERS)) for row in ids.tolist()]
        return self.read(rows).to(ids.device)

    def _number(self, value: float) -> str:
        text = f"{value:.{self.precision}f}"
        return text.removeprefix("-") if float(text) == 0 else text


def _number_of(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        return 0.0
    return 0.0 if math.isnan(value) else max(-10.0, min(10.0, value))
