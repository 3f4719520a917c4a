"""A universal action and what this body makes of it (tok.universal with prop.by_body; UniAct, arXiv 2501.10105).

The policy scores the codes of a codebook, which all bodies share; a small head of the body turns a code and what the
eyes see into a chunk. In training the code is a Gumbel mixture, so that codebook and scores learn from the actions
alone. The one thing to watch: to learn a new body, train only the head and leave the codes as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from embodia.core.protocols import Context
from embodia.core.types import ActionChunk
from embodia.nn.groups import token_mask
from embodia.nn.noise import uniform
from embodia.nn.reduce import reduce_chunk


@dataclass(frozen=True, kw_only=True)
class UniversalConfig:
    """`hidden` of the body's head, `warmth` of the Gumbel softmax, `scale` of the density in normalised units."""

    hidden: int = 512
    warmth: float = 1.0
    scale: float = 0.1


class UniversalDecoder(nn.Module):
    """One token of `read` scores the codes; the body's head reads a code and the mean of the groups `seen`."""

    def __init__(
        self,
        codebook: nn.Module,
        width: int,
        *,
        read: str,
        seen: tuple[str, ...],
        chunk: int,
        dim: int,
        config: UniversalConfig | None = None,
    ) -> None:
        super().__init__()
        self.config = config or UniversalConfig()
        self.codebook, self.read, self.seen, self.shape = codebook, read, seen, (chunk, dim)
        codes, size = codebook.vectors.shape  # type: ignore[union-attr, misc]
        self.score = nn.Linear(width, int(codes))
        self.norm = nn.LayerNorm(width * len(seen))
        hidden = self.config.hidden
        self.code_in, self.seen_in = nn.Linear(int(size), hidden), nn.Linear(width * len(seen), hidden)
        self.body = nn.Sequential(nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, chunk * dim))

    def logits(self, context: Context) -> Tensor:
        """Scores of the codes, float (B K)."""
        return self.score(context.groups[self.read].tokens[:, -1]).float()

    def act(self, context: Context, codes: Tensor) -> Tensor:
        """Chunks (B n H A) of code vectors (B n C), as this body does them here."""
        means = []
        for name in self.seen:
            group = context.groups[name]
            mask = token_mask(group)[..., None]
            means.append((group.tokens * mask).sum(1) / mask.sum(1).clamp_min(1))
        view = self.seen_in(self.norm(torch.cat(means, dim=-1)))[:, None]
        return self.body(self.code_in(codes) + view).unflatten(-1, self.shape).float()

    def loss_terms(self, context: Context, chunk: ActionChunk, rng: torch.Generator | None) -> Mapping[str, Tensor]:
        """{"l1": (B,)}; padded steps never count."""
        mixed: Tensor = self.codebook.soft(self.logits(context), rng, self.config.warmth)  # type: ignore[operator]
        found = self.act(context, mixed[:, None])[:, 0]
        return {"l1": reduce_chunk((found - chunk.actions).abs(), chunk.valid, "sample")}

    def sample(
        self,
        context: Context,
        rng: torch.Generator | None,
        n: int = 1,
        steps: int | None = None,
        prefix: Tensor | None = None,
    ) -> Tensor:
        """(B n H A): the likeliest code, then draws of the density; `prefix` (B P A) is kept."""
        codes: Tensor = self.codebook.choose(self.logits(context), rng, n)  # type: ignore[operator]
        chunks = self.act(context, self.codebook.vectors[codes])  # type: ignore[index]
        if n > 1:
            centred = uniform(tuple(chunks[:, 1:].shape), chunks, rng) - 0.5
            chunks[:, 1:] -= centred.sign() * torch.log1p(-2 * centred.abs() * (1 - 1e-6)) * self.config.scale
        if prefix is not None:
            chunks[:, :, : prefix.shape[1]] = prefix[:, None]
        return chunks

    def log_prob(self, context: Context, chunk: ActionChunk) -> Tensor:
        """Log density of the valid steps, (B,): the mixture over all codes, a Laplace around each one's chunk."""
        vectors: Tensor = self.codebook.vectors  # type: ignore[assignment]
        means = self.act(context, vectors.expand(len(chunk.actions), -1, -1))
        scale = self.config.scale
        density = -(chunk.actions[:, None] - means).abs() / scale - math.log(2 * scale)
        total = (density.sum(-1) * chunk.valid[:, None]).sum(-1)
        return (self.logits(context).log_softmax(-1) + total).logsumexp(-1)
