"""A chunk by regression (head.regress): learned queries look at the backbone's tokens, one query a step.

Trained with the absolute error, it is a Laplace density of fixed scale around its output, squared error a Gaussian: so
it has a `log_prob`, and draws beside the mode, like every other head.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from embodia.core.protocols import Context
from embodia.core.types import ActionChunk
from embodia.nn.detr import DecoderLayer, LayerSizes
from embodia.nn.noise import normal, uniform
from embodia.nn.reduce import Reduction, reduce_chunk
from embodia.nn.tokens import join, key_mask, positions


@dataclass(frozen=True, kw_only=True)
class RegressionConfig:
    """Layers and loss; `scale` of the density, in normalised action units."""

    layers: int = 7
    error: Literal["l1", "l2"] = "l1"
    scale: float = 0.1
    reduction: Reduction = "sample"


class ChunkRegression(nn.Module):
    """Queries (H) over the context, to actions (B H A), normalised."""

    def __init__(self, sizes: LayerSizes, config: RegressionConfig, action_dim: int, chunk: int) -> None:
        super().__init__()
        self.config = config
        self.queries = nn.Parameter(torch.randn(chunk, sizes.width))
        self.layers = nn.ModuleList(DecoderLayer(sizes) for _ in range(config.layers))
        self.dropout = sizes.dropout
        self.norm = nn.LayerNorm(sizes.width)
        self.head = nn.Linear(sizes.width, action_dim)

    def forward(self, context: Context) -> Tensor:
        """The mode of the density, (B H A)."""
        memory, mask, position = join(context.groups), key_mask(context.groups), positions(context.groups)
        random = self.training and self.dropout > 0.0
        x = self.queries.new_zeros(len(memory) if random else 1, *self.queries.shape)
        for layer in self.layers:
            x = layer(x, self.queries, memory, position, mask)
        return self.head(self.norm(x))

    def loss_terms(self, context: Context, chunk: ActionChunk, rng: torch.Generator | None) -> Mapping[str, Tensor]:
        """{"l1" or "l2": (B,)}; padded steps never count."""
        difference = self(context) - chunk.actions
        error = difference.abs() if self.config.error == "l1" else difference.square()
        return {self.config.error: reduce_chunk(error, chunk.valid, self.config.reduction)}

    def sample(
        self,
        context: Context,
        rng: torch.Generator | None,
        n: int = 1,
        steps: int | None = None,
        prefix: Tensor | None = None,
    ) -> Tensor:
        """(B n H A): the mode, then draws of the density. `steps` has no meaning here; `prefix` (B P A) is kept."""
        mode = self(context)
        chunks = mode[:, None].repeat(1, n, 1, 1)
        if n > 1:
            chunks[:, 1:] += self._noise((len(mode), n - 1, *mode.shape[1:]), mode, rng)
        if prefix is not None:
            chunks[:, :, : prefix.shape[1]] = prefix[:, None]
        return chunks

    def log_prob(self, context: Context, chunk: ActionChunk) -> Tensor:
        """Log density of the valid steps, (B,), in normalised units."""
        scale = self.config.scale
        distance = (chunk.actions - self(context)) / scale
        if self.config.error == "l1":
            density = -distance.abs() - math.log(2 * scale)
        else:
            density = -0.5 * distance.square() - math.log(scale * math.sqrt(2 * math.pi))
        return (density.sum(-1) * chunk.valid).sum(-1)

    def _noise(self, shape: tuple[int, ...], like: Tensor, rng: torch.Generator | None) -> Tensor:
        if self.config.error == "l2":
            return normal(shape, like, rng) * self.config.scale
        centred = uniform(shape, like, rng) - 0.5
        return -centred.sign() * torch.log1p(-2 * centred.abs() * (1 - 1e-6)) * self.config.scale
