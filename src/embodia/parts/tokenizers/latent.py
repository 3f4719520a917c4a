"""Latent action tokens (tok.latent): a few codes that explain what changed between two moments.

No action is needed, so a video without actions is labelled too. The encoder sees features before and after, a residual
quantiser lets only a few codes through, and the decoder must say from "before" and codes what "after" is: what the
codes carry is the change (LAPA, arXiv 2410.11758; UniVLA, 2505.06111, in a feature space). The one thing to watch:
whatever else changes between the moments (camera, passers-by) is coded as well.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from embodia.nn.quantize import ResidualQuantizer


class LatentActions(nn.Module):
    """Features before and after (B D) to ids (B tokens); `vocabulary` codes, `length` tokens.

    Each token has its own small encoder output; all share one codebook, as in LAPA.
    """

    def __init__(self, features: int, tokens: int = 4, codes: int = 8, width: int = 32, hidden: int = 256) -> None:
        super().__init__()
        self.tokens, self.width = tokens, width
        self.vocabulary, self.length = codes, tokens
        self.encoder = _perceptron(2 * features, hidden, tokens * width)
        self.decoder = _perceptron(features + tokens * width, hidden, features)
        self.quantizer = ResidualQuantizer(1, codes, width)

    def encode(self, before: Tensor, after: Tensor) -> Tensor:
        """Ids int64 (B tokens)."""
        return self.quantizer(self._latent(before, after))[1][..., 0]

    def vectors(self, ids: Tensor) -> Tensor:
        """Code vectors (B tokens width), for whoever acts on a predicted plan."""
        return self.quantizer.vectors(ids.clamp(0, self.vocabulary - 1)[..., None])

    def predict(self, before: Tensor, ids: Tensor) -> Tensor:
        """Features after (B D), from features before and ids."""
        return before + self.decoder(torch.cat([before, self.vectors(ids).flatten(1)], dim=-1))

    def loss_terms(self, before: Tensor, after: Tensor, rng: torch.Generator | None) -> dict[str, Tensor]:
        """{"reconstruction", "commitment"}, each (B,); in training mode the codes move, too."""
        latent = self._latent(before, after)
        quantised, _ = self.quantizer(latent, rng, learn=self.training)
        found = before + self.decoder(torch.cat([before, quantised.flatten(1)], dim=-1))
        return {
            "reconstruction": (found - after).square().mean(-1),
            "commitment": (latent - quantised.detach()).square().mean((-2, -1)),
        }

    def start(self, before: Tensor, after: Tensor, rng: torch.Generator | None) -> None:
        """Seed the codes from data, before the first step of training."""
        self.quantizer.start(self._latent(before, after).flatten(0, 1), rng)

    def _latent(self, before: Tensor, after: Tensor) -> Tensor:
        return self.encoder(torch.cat([before, after - before], dim=-1)).unflatten(-1, (self.tokens, self.width))


def _perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, outputs))
