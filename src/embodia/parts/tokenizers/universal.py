"""A codebook of universal actions (tok.universal; UniAct, arXiv 2501.10105): one code, many bodies.

A code means a behaviour ("move to the left"); what it is in joints or deltas says a small decoder of each body. A model
chooses a code by its logits; the choice is sampled with Gumbel noise in training, so that gradients reach codes and
chooser. The one thing to watch: there is no encoder from actions; only the decoders know which code an action means.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.nn.noise import uniform


class UniversalCodebook(nn.Module):
    """`codes` vectors of `width` (256 x 128 published), learned with the policy; `vocabulary` codes, `length` 1."""

    def __init__(self, codes: int = 256, width: int = 128) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(codes, width) / width**0.5)
        self.vocabulary, self.length = codes, 1

    def soft(self, logits: Tensor, rng: torch.Generator | None, temperature: float = 1.0) -> Tensor:
        """A mixture of codes (B width): Gumbel softmax of logits (B K); without a generator, no noise."""
        if rng is not None:
            draw = uniform(tuple(logits.shape), logits, rng).clamp(1e-6, 1 - 1e-6)
            logits = logits - torch.log(-torch.log(draw))
        return F.softmax(logits / temperature, dim=-1) @ self.vectors

    def choose(self, logits: Tensor, rng: torch.Generator | None, n: int = 1) -> Tensor:
        """Codes int64 (B n): the likeliest first, then draws from the softmax of logits (B K)."""
        best = logits.argmax(-1, keepdim=True)
        if n == 1:
            return best
        draw = uniform((*logits.shape[:1], n - 1, logits.shape[-1]), logits, rng).clamp(1e-6, 1 - 1e-6)
        return torch.cat([best, (logits[:, None] - torch.log(-torch.log(draw))).argmax(-1)], dim=1)

    def nearest(self, candidates: Tensor, actions: Tensor, valid: Tensor | None = None) -> Tensor:
        """The code int64 (B) whose decoded chunk in `candidates` (B K H A) is nearest to `actions` (B H A), by L1."""
        error = (candidates - actions[:, None]).abs().sum(-1)
        if valid is not None:
            error = error * valid[:, None]
        return error.sum(-1).argmin(-1)
