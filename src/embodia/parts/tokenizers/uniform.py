"""Uniform bins (tok.uniform): every dimension of every step is one id (RT-1, arXiv 2212.06817, section 5).

Robust and simple; poor where actions crowd in a small part of the range and at high rates, where neighbouring steps
repeat the same id. Values beyond the range fall in the outermost bins. OpenVLA's ids are 256 edges with 255 intervals
between them: the last id is what lies at the upper end or beyond, and means the last interval too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from embodia.core.errors import ConfigError
from embodia.parts.tokenizers.protocol import require_chunk


class UniformTokenizer(nn.Module):
    """(B H A) to (B H*A), step by step; bin k of `bins` covers an equal share of `low`..`high`, decoded to its centre.

    With `edges` the ids are edges and the bins one fewer. The error inside the range is at most half a bin.
    """

    def __init__(
        self, chunk: int, dim: int, bins: int = 256, low: float = -1.0, high: float = 1.0, *, edges: bool = False
    ) -> None:
        super().__init__()
        if bins < 2 or not low < high:
            raise ConfigError(f"{bins} bins over {low}..{high}", leaf="bins")
        self.chunk, self.dim, self.low, self.high = chunk, dim, low, high
        self.vocabulary, self.length, self.bins = bins, chunk * dim, bins - edges

    def encode(self, actions: Tensor) -> Tensor:
        """Ids int64 (B H*A). Raises `ShapeError` for a chunk of another shape."""
        require_chunk(actions, self.chunk, self.dim)
        share = (actions.double() - self.low) / (self.high - self.low)
        return (share * self.bins).floor().clamp(0, self.vocabulary - 1).long().flatten(1)

    def decode(self, ids: Tensor) -> Tensor:
        """Centres of the bins, float32 (B H A); ids beyond the bins mean the outermost one."""
        centres = (ids.clamp(0, self.bins - 1).double() + 0.5) / self.bins
        return (centres * (self.high - self.low) + self.low).float().unflatten(1, (self.chunk, self.dim))


class MuLawTokenizer(nn.Module):
    """mu-law companding, then uniform bins over -1..1 (tok.mulaw; Gato, arXiv 2205.06175, appendix B).

    x becomes sign(x) log(|x| mu + 1) / log(m mu + 1), so fine bins lie near zero and numbers up to `largest` have one;
    the paper's constants are mu 100, m 256, 1024 bins. It squashes only what is not in -1..1 already: an action
    normalised to that range keeps all its bins with `companded=False`.
    """

    def __init__(
        self,
        chunk: int,
        dim: int,
        bins: int = 1024,
        mu: float = 100.0,
        largest: float = 256.0,
        *,
        companded: bool = True,
    ) -> None:
        super().__init__()
        self.mu, self.largest, self.companded = mu, largest, companded
        self.bins = UniformTokenizer(chunk, dim, bins)
        self.vocabulary, self.length = bins, self.bins.length

    def encode(self, actions: Tensor) -> Tensor:
        """Ids int64 (B H*A). Raises `ShapeError` for a chunk of another shape."""
        return self.bins.encode(compand(actions, self.mu, self.largest) if self.companded else actions)

    def decode(self, ids: Tensor) -> Tensor:
        """Actions float32 (B H A)."""
        value = self.bins.decode(ids)
        return expand(value, self.mu, self.largest) if self.companded else value


def compand(value: Tensor, mu: float, largest: float) -> Tensor:
    """mu-law: numbers up to `largest` in size to -1..1, small ones spread out."""
    top = torch.log1p(value.new_tensor(largest * mu))
    return value.sign() * torch.log1p(value.abs() * mu) / top


def expand(value: Tensor, mu: float, largest: float) -> Tensor:
    """The inverse of `compand`."""
    top = torch.log1p(value.new_tensor(largest * mu))
    return value.sign() * torch.expm1(value.abs() * top) / mu
