"""All action ids in one pass (head.parallel): every place of the chunk is a class, read off tokens side by side.

No id waits for another, so acting costs one pass whatever the tokenizer's length; the price is that ids of one chunk
are independent given the context. Used by RT-1 and, with full attention among readouts, by fine-tuned token models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from embodia.core.errors import ConfigError
from embodia.core.protocols import Context
from embodia.core.types import ActionChunk
from embodia.nn.focal import focal
from embodia.nn.noise import uniform


@dataclass(frozen=True, kw_only=True)
class ParallelConfig:
    """`gamma` of the focal loss, 0 for cross entropy; `temperature` of all draws but the first.

    layout  "steps": ids stand in the order of the chunk's steps, equally many a step; "whole": they belong to all of it
    """

    gamma: float = 0.0
    temperature: float = 1.0
    layout: Literal["steps", "whole"] = "steps"


class ParallelDecoder(nn.Module):
    """Tokens (B R D) of the group `read` to logits (B length vocabulary), length / R ids from every token.

    Raises `ConfigError` when the `readouts` R do not divide the tokenizer's length.
    """

    possible: Tensor

    def __init__(
        self, tokenizer: nn.Module, width: int, *, read: str, readouts: int, config: ParallelConfig | None = None
    ) -> None:
        super().__init__()
        self.tokenizer, self.read, self.config = tokenizer, read, config or ParallelConfig()
        self.vocabulary, self.length = int(tokenizer.vocabulary), int(tokenizer.length)  # type: ignore[arg-type]
        if self.length % readouts:
            raise ConfigError(f"{self.length} ids from {readouts} tokens", leaf="readouts")
        self.head = nn.Linear(width, self.length // readouts * self.vocabulary)
        self.register_buffer("possible", _possible(tokenizer, self.length, self.vocabulary), persistent=False)

    def logits(self, context: Context) -> Tensor:
        """(B length vocabulary), minus infinity where an id has no meaning at its place."""
        raw = self.head(context.groups[self.read].tokens).float().flatten(1)
        return raw.unflatten(1, (self.length, self.vocabulary)).masked_fill(~self.possible, -torch.inf)

    def loss_terms(self, context: Context, chunk: ActionChunk, rng: torch.Generator | None) -> Mapping[str, Tensor]:
        """{"token": (B,)}: mean error of the ids; those of padded steps never count."""
        ids: Tensor = self.tokenizer.encode(chunk.actions)  # type: ignore[operator]
        counted = self._counted(chunk.valid)
        error = focal(self.logits(context), ids, self.config.gamma)
        return {"token": (error * counted).sum(1) / counted.sum(1).clamp_min(1)}

    def log_prob(self, context: Context, chunk: ActionChunk) -> Tensor:
        """Log probability of the valid steps' ids, (B,)."""
        ids: Tensor = self.tokenizer.encode(chunk.actions)  # type: ignore[operator]
        return -(focal(self.logits(context), ids, 0.0) * self._counted(chunk.valid)).sum(1)

    def sample(
        self,
        context: Context,
        rng: torch.Generator | None,
        n: int = 1,
        steps: int | None = None,
        prefix: Tensor | None = None,
    ) -> Tensor:
        """(B n H A): the most probable ids, then draws. `steps` has no meaning here; `prefix` (B P A) is kept."""
        ids = pick(self.logits(context) / self.config.temperature, rng, n)
        chunks: Tensor = self.tokenizer.decode(ids.flatten(0, 1))  # type: ignore[operator]
        chunks = chunks.unflatten(0, (-1, n))
        if prefix is not None:
            chunks[:, :, : prefix.shape[1]] = prefix[:, None]
        return chunks

    def _counted(self, valid: Tensor) -> Tensor:
        """Which ids count, float (B length)."""
        if self.config.layout == "whole":
            return valid.any(1, keepdim=True).float().expand(-1, self.length)
        steps = torch.arange(self.length, device=valid.device) * valid.shape[1] // self.length
        return valid[:, steps].float()


def pick(logits: Tensor, rng: torch.Generator | None, n: int) -> Tensor:
    """n classes a row, int64 (B n ...), from logits (B ... K): the most probable first, the others drawn."""
    best = logits.argmax(-1)[:, None]
    if n == 1:
        return best
    shape = (logits.shape[0], n - 1, *logits.shape[1:])
    noise = -torch.log(-torch.log(uniform(shape, logits, rng).clamp(1e-9, 1 - 1e-7)))
    return torch.cat([best, (logits[:, None] + noise).argmax(-1)], dim=1)


def _possible(tokenizer: nn.Module, length: int, vocabulary: int) -> Tensor:
    choices = getattr(tokenizer, "choices", None)
    if choices is None:
        return torch.ones(length, vocabulary, dtype=torch.bool)
    rows = [choices(torch.zeros(1, place, dtype=torch.long))[0] for place in range(length)]
    return torch.stack(rows)
