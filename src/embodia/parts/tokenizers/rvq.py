"""Residual vector quantisation of whole chunks (tok.rvq; VQ-BeT, arXiv 2403.03181).

A small autoencoder maps a chunk to one vector, two codebooks of 8-16 entries quantise it coarse to fine, and a decoder
gives the chunk back: the first id says which motion, the second how exactly. It learns in `fit`, before the policy, and
is frozen from then on; codes live in buffers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from embodia.nn.quantize import ResidualQuantizer
from embodia.parts.tokenizers.protocol import require_chunk


@dataclass(frozen=True, kw_only=True)
class ResidualConfig:
    """`levels` codebooks of `codes` vectors of `width`, `hidden` units in both layers of encoder and decoder.

    Learned in `steps` batches of 256: absolute error plus `commitment` times the squared distance to the code.
    """

    levels: int = 2
    codes: int = 16
    hidden: int = 128
    width: int = 256
    steps: int = 1500
    commitment: float = 1.0


class ResidualCoder(nn.Module):
    """Rows (N F) to indices (N levels) and back; frozen but for `learn`."""

    def __init__(self, features: int, config: ResidualConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = _perceptron(features, config.hidden, config.width)
        self.decoder = _perceptron(config.width, config.hidden, features)
        self.quantizer = ResidualQuantizer(config.levels, config.codes, config.width)
        self.requires_grad_(False)

    def encode(self, rows: Tensor) -> Tensor:
        """Indices int64 (N levels)."""
        return self.quantizer(self.encoder(rows.to(next(self.parameters()))))[1]

    def decode(self, indices: Tensor) -> Tensor:
        """Rows float32 (N F); an index beyond the codes means the last one."""
        return self.decoder(self.quantizer.vectors(indices.clamp(0, self.config.codes - 1)))

    def learn(self, rows: Tensor) -> None:
        """Learn from rows (N F); the same data gives the same coder. Frozen again afterwards."""
        rows, rng = rows.to(next(self.parameters())), torch.Generator().manual_seed(0)
        with torch.enable_grad():
            self.requires_grad_(True)
            self.quantizer.start(self.encoder(rows[:4096]), rng)
            self._descend(rows, rng)
            self.requires_grad_(False)

    def _descend(self, rows: Tensor, rng: torch.Generator) -> None:
        optimizer = torch.optim.Adam(self.parameters(), lr=1e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.config.steps, 1e-5)
        for step in range(self.config.steps):
            batch = rows[torch.randint(len(rows), (256,), generator=rng).to(rows.device)]
            latent = self.encoder(batch)
            quantised, _ = self.quantizer(latent, rng, learn=step < self.config.steps // 2)
            error = (self.decoder(quantised) - batch).abs().mean()
            distance = (latent - quantised.detach()).square().mean()
            optimizer.zero_grad()
            (error + self.config.commitment * distance).backward()
            optimizer.step()
            schedule.step()


class ResidualTokenizer(nn.Module):
    """(B H A) to (B levels): ids of level l are l*codes .. l*codes + codes - 1, so that every level has its own."""

    def __init__(self, chunk: int, dim: int, config: ResidualConfig | None = None) -> None:
        super().__init__()
        self.chunk, self.dim, self.config = chunk, dim, config or ResidualConfig()
        self.vocabulary, self.length = self.config.levels * self.config.codes, self.config.levels
        self.coder = ResidualCoder(chunk * dim, self.config)

    def fit(self, actions: Tensor) -> None:
        """Learn from chunks (N H A)."""
        self.coder.learn(actions.flatten(1))

    def encode(self, actions: Tensor) -> Tensor:
        """Ids int64 (B levels). Raises `ShapeError` for a chunk of another shape."""
        require_chunk(actions, self.chunk, self.dim)
        indices = self.coder.encode(actions.flatten(1))
        return indices + self._starts(indices)

    def decode(self, ids: Tensor) -> Tensor:
        """Chunks float32 (B H A); an id of another level means that level's nearest."""
        return self.coder.decode((ids - self._starts(ids)).clamp_min(0)).unflatten(-1, (self.chunk, self.dim))

    def choices(self, prefix: Tensor) -> Tensor:
        """Bool (B vocabulary): the ids of the level whose turn it is after `prefix` (B P)."""
        level = torch.arange(self.vocabulary, device=prefix.device) // self.config.codes
        return (level == prefix.shape[1] % self.config.levels).expand(len(prefix), -1)

    def _starts(self, like: Tensor) -> Tensor:
        return torch.arange(self.config.levels, device=like.device) * self.config.codes


def _perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    first, second, last = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, outputs)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last)
