"""Two ways of acting in one model (head.hybrid, HybridVLA): denoised actions, and words that vote where sure.

Both are learned together and read the same context. Acting, the words are said too; where their mean probability is
above a threshold the chunk is the mean of both, elsewhere it is the denoised one alone. The one thing to watch: only
the denoised part has several draws, so samples of one sure observation lie closer together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from embodia.core.protocols import Context
from embodia.core.specs import ActionSpec
from embodia.core.types import ActionChunk


class HybridDecoder(nn.Module):
    """`diffusion` and `words` are decoders of the same chunk; `sure` is the probability above which words count."""

    def __init__(self, diffusion: nn.Module, words: nn.Module, spec: ActionSpec, sure: float = 0.96) -> None:
        super().__init__()
        self.diffusion, self.words, self.spec, self.sure = diffusion, words, spec, sure

    def loss_terms(self, context: Context, chunk: ActionChunk, rng: torch.Generator | None) -> Mapping[str, Tensor]:
        """Those of both, (B,) each."""
        denoised = self.diffusion.loss_terms(context, chunk, rng)  # type: ignore[operator]
        return {**denoised, **self.words.loss_terms(context, chunk, rng)}  # type: ignore[operator]

    @torch.no_grad()
    def sample(
        self,
        context: Context,
        rng: torch.Generator | None,
        n: int = 1,
        steps: int | None = None,
        prefix: Tensor | None = None,
    ) -> Tensor:
        """n chunks a batch entry, (B n H A); `prefix` (B P A) is kept exactly."""
        drawn: Tensor = self.diffusion.sample(context, rng, n, steps, prefix)  # type: ignore[operator]
        said: Tensor = self.words.sample(context, rng, 1, None, prefix)  # type: ignore[operator]
        sure = (self.confidence(context, said[:, 0]) > self.sure)[:, None, None, None]
        return torch.where(sure, (drawn + said) / 2, drawn)

    def confidence(self, context: Context, actions: Tensor) -> Tensor:
        """Geometric mean of the probabilities of the words that say `actions` (B H A), (B,)."""
        valid = torch.ones(actions.shape[:2], dtype=torch.bool, device=actions.device)
        spec = replace(self.spec, chunk=actions.shape[1])
        chance = self.words.log_prob(context, ActionChunk(actions=actions, valid=valid, spec=spec))  # type: ignore[operator]
        return (chance / int(self.words.length)).exp()  # type: ignore[arg-type, no-any-return]
