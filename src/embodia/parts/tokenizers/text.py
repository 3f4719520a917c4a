"""Text as integers for a language model: from a vocabulary file, or as plain bytes where there is none.

Every tokenizer pads to one fixed length, so that shapes never change from step to step. The one thing to watch: a
sentence longer than that is cut, silently to the network, so choose the length from the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from embodia.core.errors import ConfigError, CorruptFileError, MissingFileError
from embodia.nn.installed import pieces

INSTALLED = "installed:"
"""Begins the name of a vocabulary that comes in a package (`nn.installed`)."""


class ByteTokenizer:
    """UTF-8 bytes: byte b is the id `first + b`, 0 is padding, `start` opens every sentence when given.

    Reversible, the same on every machine. With `first=217` and `start=2` the ids are the byte pieces of Gemma's
    vocabulary.
    """

    def __init__(self, length: int, *, first: int = 1, start: int | None = None, end: str = "\n") -> None:
        self.length, self.first, self.end = length, first, end
        self.start = () if start is None else (start,)

    @property
    def vocabulary(self) -> int:
        """Ids run from 0 to here, exclusive."""
        return self.first + 256

    def __call__(self, sentences: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids and mask, (B length) each; one sentence becomes start, bytes, end."""
        return padded([self.encode(text) for text in sentences], self.length)

    def encode(self, text: str) -> list[int]:
        """Ids of one sentence, not padded."""
        return [*self.start, *(self.first + byte for byte in f"{text}{self.end}".encode())]

    def plain(self, text: str) -> list[int]:
        """Ids of a text alone, without start and newline."""
        return [self.first + byte for byte in text.encode()]

    def decode(self, ids: Sequence[int]) -> str:
        """The sentence again; padding, start and end are dropped."""
        data = bytes(index - self.first for index in ids if self.first <= index < self.first + 256)
        return data.decode("utf-8", errors="replace").removesuffix(self.end)


class FileTokenizer:
    """A vocabulary in the tokenizers library's JSON format; the file is opened at the first sentence.

    Raises `MissingFileError` or `CorruptFileError` naming the file, `ConfigError` when its ids do not fit `vocabulary`.
    """

    def __init__(self, file: str, length: int, vocabulary: int, *, start: int | None = 2, end: str = "\n") -> None:
        self.file, self.length, self.vocabulary, self.end = file, length, vocabulary, end
        self.start = () if start is None else (start,)

    def __call__(self, sentences: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids and mask, (B length) each; one sentence becomes start, pieces of the text and the end."""
        pieces = [self._pieces.encode(f"{text}{self.end}", add_special_tokens=False).ids for text in sentences]
        return padded([[*self.start, *ids] for ids in pieces], self.length)

    def plain(self, text: str) -> list[int]:
        """Ids of a text alone, without start and newline."""
        return list(self._pieces.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; what is special is left out."""
        return str(self._pieces.decode(list(ids)))

    @cached_property
    def _pieces(self) -> Any:
        from tokenizers import Tokenizer

        if self.file.startswith(INSTALLED):
            return pieces(self.file.removeprefix(INSTALLED))
        if not Path(self.file).is_file():
            raise MissingFileError("the vocabulary does not exist", file=self.file)
        try:
            found = Tokenizer.from_file(self.file)
        except Exception as error:
            raise CorruptFileError(f"not a tokenizer: {error}", file=self.file) from error
        if found.get_vocab_size() > self.vocabulary:
            problem = f"{found.get_vocab_size()} pieces do not fit {self.vocabulary} embeddings"
            raise ConfigError(problem, file=self.file, leaf="vocabulary")
        return found


def padded(rows: Sequence[Sequence[int]], length: int) -> tuple[Tensor, Tensor]:
    """Rows cut or filled with zeros on the right to `length`: ids int64 and mask bool, (B length) each."""
    ids, mask = torch.zeros(len(rows), length, dtype=torch.long), torch.zeros(len(rows), length, dtype=torch.bool)
    for index, row in enumerate(rows):
        kept = torch.tensor(list(row[:length]), dtype=torch.long)
        ids[index, : len(kept)] = kept
        mask[index, : len(kept)] = True
    return ids, mask
