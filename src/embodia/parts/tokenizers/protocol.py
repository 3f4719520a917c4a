"""What every action tokenizer is: a module that turns a normalised chunk into a few integers and back.

Ids run from 0 to `vocabulary`; -1 pads a row at its end, for tokenizers whose sequences differ in length. The one thing
to watch: `decode` answers any ids at all, because a network may write any; it never raises, it takes the nearest
meaning.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from embodia.core.errors import ShapeError

PADDING = -1
"""Stands behind the last id of a row that is shorter than `length`."""


@runtime_checkable
class ActionTokenizer(Protocol):
    """Chunks (B H A), normalised, to ids (B length) and back."""

    vocabulary: int
    length: int

    def encode(self, actions: Tensor) -> Tensor:
        """Ids int64 (B length), `PADDING` behind the end."""
        ...

    def decode(self, ids: Tensor) -> Tensor:
        """Actions float32 (B H A) that the ids stand for."""
        ...


@runtime_checkable
class Constrained(Protocol):
    """A tokenizer that knows which ids may follow a beginning."""

    def choices(self, prefix: Tensor) -> Tensor:
        """Bool (B vocabulary): ids that may come after `prefix` int64 (B P)."""
        ...


def require_chunk(actions: Tensor, chunk: int, dim: int) -> None:
    """Raise `ShapeError` unless actions are (B chunk dim)."""
    if actions.ndim != 3 or actions.shape[1:] != (chunk, dim):
        raise ShapeError(f"actions are {tuple(actions.shape)}, expected (B {chunk} {dim})", leaf="actions")
