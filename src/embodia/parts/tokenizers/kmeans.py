"""Clusters of actions as bins, with the rest as an offset (tok.kmeans; Behavior Transformers, arXiv 2206.11251).

An action is the index of its nearest cluster centre plus a continuous offset that a head predicts for that centre. The
one thing to watch is the number of clusters: too few and offsets must do everything, too many and each is rare.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from embodia.nn.quantize import cluster
from embodia.parts.tokenizers.protocol import require_chunk


class KMeansTokenizer(nn.Module):
    """(B H A) to (B H): one id a step, the nearest of `clusters` centres (K A). Unfitted, the centres are random."""

    centres: Tensor

    def __init__(self, chunk: int, dim: int, clusters: int = 64) -> None:
        super().__init__()
        self.chunk, self.dim = chunk, dim
        self.vocabulary, self.length = clusters, chunk
        self.register_buffer("centres", 0.5 * torch.randn(clusters, dim))

    def fit(self, actions: Tensor) -> None:
        """k-means over all steps of chunks (N H A), 20,000 of them at most; always the same from the same data."""
        steps = actions.flatten(0, 1).to(self.centres)
        rng = torch.Generator().manual_seed(0)
        if len(steps) > 20_000:
            steps = steps[torch.randperm(len(steps), generator=rng)[:20_000].to(steps.device)]
        self.centres.copy_(cluster(steps, self.vocabulary, rng))

    def encode(self, actions: Tensor) -> Tensor:
        """Ids int64 (B H). Raises `ShapeError` for a chunk of another shape."""
        require_chunk(actions, self.chunk, self.dim)
        steps = actions.flatten(0, 1).to(self.centres)
        return torch.cdist(steps, self.centres).argmin(-1).unflatten(0, (-1, self.chunk))

    def decode(self, ids: Tensor) -> Tensor:
        """The centres, float32 (B H A); ids beyond the clusters mean the last one."""
        return self.centres[ids.clamp(0, self.vocabulary - 1)]

    def offset(self, actions: Tensor, ids: Tensor) -> Tensor:
        """What the centres leave over, (B H A)."""
        return actions - self.decode(ids)
