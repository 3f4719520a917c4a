"""A class and what it leaves over (head.offset): which kind of motion, and how exactly (BeT, VQ-BeT).

A classifier picks among the tokenizer's codes, a second head says for every code how far the action lies from what the
code stands for. The density is the mixture it looks like: every code with its probability, a Laplace around its offset
action. The one thing to watch: offsets are trained at the true class ("truth", BeT) or at the class that the policy
itself draws ("drawn", VQ-BeT), where a wrong class is answered by a larger offset.
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
from embodia.nn.focal import focal
from embodia.nn.mlp import projection
from embodia.nn.noise import uniform
from embodia.nn.reduce import Reduction, reduce_chunk
from embodia.parts.decoders.parallel import pick


@dataclass(frozen=True, kw_only=True)
class OffsetConfig:
    """`gamma` of the focal loss, `temperature` of draws, `at` where offsets are trained, `scale` of the density.

    `levels` weigh the loss of each level of codes, the first level first.
    """

    gamma: float = 2.0
    temperature: float = 1.0
    at: Literal["truth", "drawn"] = "truth"
    error: Literal["l1", "l2"] = "l1"
    scale: float = 0.1
    levels: tuple[float, ...] = (1.0,)
    deep: bool = False
    reduction: Reduction = "sample"


class OffsetDecoder(nn.Module):
    """Tokens (B R D) of the group `read`: R places, each with `levels` codes; R is H for codes a step, 1 for a chunk.

    Ids of the tokenizer are (B R*levels); ids of level l begin at l * codes.
    """

    def __init__(
        self,
        tokenizer: nn.Module,
        width: int,
        *,
        read: str,
        chunk: int,
        dim: int,
        config: OffsetConfig | None = None,
    ) -> None:
        super().__init__()
        self.config = config or OffsetConfig()
        self.tokenizer, self.read, self.shape = tokenizer, read, (chunk, dim)
        self.levels = len(self.config.levels)
        self.places = int(tokenizer.length) // self.levels  # type: ignore[arg-type]
        self.codes = int(tokenizer.vocabulary) // self.levels  # type: ignore[arg-type]
        self.features = chunk * dim // self.places
        self.classes = projection(width, self.levels * self.codes, self.config.deep)
        self.offsets = projection(width, self.levels * self.codes * self.features, self.config.deep)

    def forward(self, context: Context) -> tuple[Tensor, Tensor]:
        """Logits (B R levels codes) and offsets (B R levels codes F)."""
        tokens = context.groups[self.read].tokens[:, -self.places :]
        size = (self.levels, self.codes)
        return self.classes(tokens).unflatten(-1, size).float(), self.offsets(tokens).unflatten(-1, (*size, -1)).float()

    def loss_terms(self, context: Context, chunk: ActionChunk, rng: torch.Generator | None) -> Mapping[str, Tensor]:
        """{"class": (B,), "offset": (B,)}; padded steps never count."""
        logits, offsets = self(context)
        truth = self._codes(self.tokenizer.encode(chunk.actions))  # type: ignore[operator]
        weights = logits.new_tensor(self.config.levels)
        error = (focal(logits, truth, self.config.gamma) * weights).sum(-1)
        counted = self._counted(chunk.valid)
        used = truth if self.config.at == "truth" else self._drawn(logits, rng)
        difference = self.actions(used, offsets) - chunk.actions
        distance = difference.abs() if self.config.error == "l1" else difference.square()
        return {
            "class": (error * counted).sum(1) / counted.sum(1).clamp_min(1),
            "offset": reduce_chunk(distance, chunk.valid, self.config.reduction),
        }

    def actions(self, codes: Tensor, offsets: Tensor) -> Tensor:
        """Chunks (B H A) of codes (B R levels): what they stand for, plus their offsets."""
        index = codes[..., None, None].expand(*codes.shape, 1, offsets.shape[-1])
        chosen = offsets.gather(3, index).sum((2, 3)).reshape(-1, *self.shape)
        return self._meaning(codes) + chosen

    def sample(
        self,
        context: Context,
        rng: torch.Generator | None,
        n: int = 1,
        steps: int | None = None,
        prefix: Tensor | None = None,
    ) -> Tensor:
        """(B n H A): the likeliest class with its offset, then draws of the density; `prefix` (B P A) is kept."""
        logits, offsets = self(context)
        codes = pick(logits / self.config.temperature, rng, n).flatten(0, 1)
        chunks = self.actions(codes, offsets.repeat_interleave(n, dim=0)).unflatten(0, (-1, n))
        if n > 1:
            centred = uniform(tuple(chunks[:, 1:].shape), chunks, rng) - 0.5
            noise = -centred.sign() * torch.log1p(-2 * centred.abs() * (1 - 1e-6)) * self.config.scale
            chunks = torch.cat([chunks[:, :1], chunks[:, 1:] + noise], dim=1)
        if prefix is not None:
            chunks[:, :, : prefix.shape[1]] = prefix[:, None]
        return chunks

    def log_prob(self, context: Context, chunk: ActionChunk) -> Tensor:
        """Log density of the valid steps, (B,), normalised: the exact mixture over all codes at every place."""
        logits, offsets = self(context)
        grids = torch.meshgrid(*[torch.arange(self.codes, device=logits.device)] * self.levels, indexing="ij")
        every = torch.stack([grid.flatten() for grid in grids], dim=-1)
        chance = logits.log_softmax(-1)
        total = torch.stack([chance[:, :, level, every[:, level]] for level in range(self.levels)]).sum(0)
        shift = torch.stack([offsets[:, :, level, every[:, level]] for level in range(self.levels)]).sum(0)
        means = self._meaning(every[:, None].expand(-1, self.places, -1))
        means = means.reshape(len(every), self.places, self.features).transpose(0, 1) + shift
        target = chunk.actions.reshape(-1, self.places, 1, self.features)
        density = -(target - means).abs() / self.config.scale - math.log(2 * self.config.scale)
        valid = chunk.valid[..., None].expand(-1, -1, self.shape[1]).reshape(-1, self.places, 1, self.features)
        return (total + (density * valid).sum(-1)).logsumexp(-1).sum(-1)

    def _meaning(self, codes: Tensor) -> Tensor:
        starts = torch.arange(self.levels, device=codes.device) * self.codes
        return self.tokenizer.decode((codes + starts).flatten(1)).detach()  # type: ignore[operator]

    def _codes(self, ids: Tensor) -> Tensor:
        return ids.unflatten(1, (self.places, self.levels)) - torch.arange(self.levels, device=ids.device) * self.codes

    def _drawn(self, logits: Tensor, rng: torch.Generator | None) -> Tensor:
        return pick(logits.detach() / self.config.temperature, rng, 2)[:, 1]

    def _counted(self, valid: Tensor) -> Tensor:
        return valid.float() if self.places > 1 else valid.any(1, keepdim=True).float()
