"""Residual vector quantisation of whole chunks (tok.rvq; VQ-BeT, arXiv 2403.03181).

A small autoencoder maps a chunk to one vector, two codebooks of 8-16 entries quantise it coarse to fine, and a decoder
gives the chunk back: the first id says which motion, the second how exactly. It learns in `fit`, before the policy, and
is frozen from then on; codes live in buffers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from embodia.nn.quantize import ResidualQuantizer
from embodia.parts.tokenizers.protocol import require_chunk


class ResidualTokenizer(nn.Module):
    """(B H A) to (B levels): ids of level l are l*codes .. l*codes + codes - 1, so that every level has its own.

    `hidden` of the two-layer encoder and decoder, `width` of the code vectors (128 and 256 published). `steps` batches
    of 256 chunks in `fit`, errors L1 plus `commitment` times the distance to the code.
    """

    def __init__(
        self,
        chunk: int,
        dim: int,
        levels: int = 2,
        codes: int = 16,
        hidden: int = 128,
        width: int = 256,
        steps: int = 1500,
        commitment: float = 1.0,
    ) -> None:
        super().__init__()
        self.chunk, self.dim, self.levels, self.codes = chunk, dim, levels, codes
        self.steps, self.commitment = steps, commitment
        self.vocabulary, self.length = levels * codes, levels
        self.encoder = _perceptron(chunk * dim, hidden, width)
        self.decoder = _perceptron(width, hidden, chunk * dim)
        self.quantizer = ResidualQuantizer(levels, codes, width)
        self.requires_grad_(False)

    def fit(self, actions: Tensor) -> None:
        """Learn from chunks (N H A); the same data gives the same tokenizer. Frozen again afterwards."""
        rows = actions.flatten(1).to(next(self.parameters()))
        rng = torch.Generator().manual_seed(0)
        with torch.enable_grad():
            self.requires_grad_(True)
            self.quantizer.start(self.encoder(rows[:4096]), rng)
            self._learn(rows, rng)
            self.requires_grad_(False)

    def encode(self, actions: Tensor) -> Tensor:
        """Ids int64 (B levels). Raises `ShapeError` for a chunk of another shape."""
        require_chunk(actions, self.chunk, self.dim)
        _, indices = self.quantizer(self.encoder(actions.flatten(1).to(next(self.parameters()))))
        return indices + self._starts(indices)

    def decode(self, ids: Tensor) -> Tensor:
        """Chunks float32 (B H A); an id of another level means that level's nearest."""
        indices = (ids - self._starts(ids)).clamp(0, self.codes - 1)
        return self.decoder(self.quantizer.vectors(indices)).unflatten(-1, (self.chunk, self.dim))

    def choices(self, prefix: Tensor) -> Tensor:
        """Bool (B vocabulary): the ids of the level whose turn it is after `prefix` (B P)."""
        level = torch.arange(self.vocabulary, device=prefix.device) // self.codes
        return (level == prefix.shape[1] % self.levels).expand(len(prefix), -1)

    def _starts(self, like: Tensor) -> Tensor:
        return torch.arange(self.levels, device=like.device) * self.codes

    def _learn(self, rows: Tensor, rng: torch.Generator) -> None:
        optimizer = torch.optim.Adam(self.parameters(), lr=1e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps, 1e-5)
        for step in range(self.steps):
            batch = rows[torch.randint(len(rows), (256,), generator=rng).to(rows.device)]
            latent = self.encoder(batch)
            quantised, _ = self.quantizer(latent, rng, learn=step < self.steps // 2)
            error = (self.decoder(quantised) - batch).abs().mean()
            distance = (latent - quantised.detach()).square().mean()
            optimizer.zero_grad()
            (error + self.commitment * distance).backward()
            optimizer.step()
            schedule.step()


def _perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    first, second, last = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, outputs)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last)
