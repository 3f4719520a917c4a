"""A decoder as a head: it learns from the same context as the one that acts, and never acts itself.

With knowledge insulation (Driess et al. 2025) the language model learns to say actions as words while another decoder,
whose gradient does not reach it, learns to make them.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from embodia.core.protocols import Context
from embodia.core.types import Batch


class DecoderHead(nn.Module):
    """The loss terms of a decoder, for `Parts.heads`."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def loss_terms(self, context: Context, batch: Batch, rng: torch.Generator | None) -> Mapping[str, Tensor]:
        """The decoder's own terms, (B,) each."""
        found: Mapping[str, Tensor] = self.decoder.loss_terms(context, batch.chunk, rng)  # type: ignore[operator]
        return found
