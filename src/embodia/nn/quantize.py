"""Vector quantisation: a vector becomes the index of its nearest code (van den Oord et al. 2017), once or in layers.

Codes are not parameters: they follow the running mean of the vectors that chose them, and a code that nobody chooses is
moved onto a vector of the batch, so no entry is lost. Gradients pass straight through to the encoder. The one thing to
watch: codes move only in training mode and only when asked by `learn`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from embodia.nn.noise import integers


class Codebook(nn.Module):
    """`codes` vectors of `width`; the nearest by Euclidean distance is chosen."""

    vectors: Tensor
    count: Tensor
    total: Tensor

    def __init__(self, codes: int, width: int, decay: float = 0.8) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("vectors", torch.randn(codes, width) / width**0.5)
        self.register_buffer("count", torch.ones(codes), persistent=False)
        self.register_buffer("total", self.vectors.clone(), persistent=False)

    def choose(self, x: Tensor) -> Tensor:
        """Index int64 (...) of the code nearest to x (... width)."""
        return torch.cdist(x.flatten(0, -2).float(), self.vectors).argmin(-1).view(x.shape[:-1])

    def learn(self, x: Tensor, index: Tensor, rng: torch.Generator | None) -> None:
        """Move the codes towards the vectors (N width) that chose them; those unused jump onto one of the vectors."""
        with torch.no_grad():
            chosen = nn.functional.one_hot(index, len(self.vectors)).to(x.dtype)
            self.count.lerp_(chosen.sum(0), 1 - self.decay)
            self.total.lerp_(chosen.T @ x, 1 - self.decay)
            unused = self.count < 0.05 * len(x) / len(self.vectors)
            drawn = x[integers(len(x), (len(self.vectors),), x, rng)]
            self.total.copy_(torch.where(unused[:, None], drawn, self.total))
            self.count.masked_fill_(unused, 1.0)
            self.vectors.copy_(self.total / self.count[:, None])

    def start(self, x: Tensor, rng: torch.Generator | None) -> None:
        """Begin from vectors of the data (N width): k-means++ seeding, each new code far from those there are."""
        with torch.no_grad():
            self.vectors.copy_(spread(x, len(self.vectors), rng))
            self.total.copy_(self.vectors)
            self.count.fill_(1.0)


class ResidualQuantizer(nn.Module):
    """`levels` codebooks: each codes what the ones before left over (Zeghidour et al. 2021, SoundStream)."""

    def __init__(self, levels: int, codes: int, width: int, decay: float = 0.8) -> None:
        super().__init__()
        self.books = nn.ModuleList(Codebook(codes, width, decay) for _ in range(levels))

    def forward(self, x: Tensor, rng: torch.Generator | None = None, *, learn: bool = False) -> tuple[Tensor, Tensor]:
        """Quantised x (... width), gradients straight through, and indices int64 (... levels)."""
        left, found, indices = x, torch.zeros_like(x), []
        for book in self.books:
            index = book.choose(left.detach())  # type: ignore[operator]
            if learn:
                book.learn(left.detach().flatten(0, -2), index.flatten(), rng)  # type: ignore[operator]
            code = book.vectors[index].to(x.dtype)  # type: ignore[index]
            left, found = left - code, found + code
            indices.append(index)
        return x + (found - x).detach(), torch.stack(indices, dim=-1)

    def start(self, x: Tensor, rng: torch.Generator | None) -> None:
        """Seed every level from data (N width)."""
        left = x.detach()
        for book in self.books:
            book.start(left, rng)  # type: ignore[operator]
            left = left - book.vectors[book.choose(left)]  # type: ignore[index, operator]

    def vectors(self, indices: Tensor) -> Tensor:
        """The sum of the levels' codes (... width) for indices (... levels)."""
        codes = [book.vectors[indices[..., level]] for level, book in enumerate(self.books)]  # type: ignore[index]
        return torch.stack(codes).sum(0)


def spread(x: Tensor, count: int, rng: torch.Generator | None) -> Tensor:
    """`count` rows of x (N D), far from one another: k-means++ seeding (Arthur and Vassilvitskii 2007)."""
    chosen = x[integers(len(x), (1,), x, rng)]
    nearest = torch.cdist(x, chosen)[:, 0].square()
    for _ in range(count - 1):
        weight = nearest + 1e-12
        draw = torch.rand((), generator=rng, device=x.device if rng is None else rng.device).to(x)
        index = torch.searchsorted(weight.cumsum(0), draw * weight.sum()).clamp_max(len(x) - 1)
        chosen = torch.cat([chosen, x[index][None]])
        nearest = torch.minimum(nearest, (x - x[index]).square().sum(-1))
    return chosen


def cluster(x: Tensor, count: int, rng: torch.Generator | None, rounds: int = 50) -> Tensor:
    """`count` centres of x (N D) by Lloyd's algorithm from k-means++ seeds; an empty centre keeps its place."""
    centres = spread(x, count, rng)
    for _ in range(rounds):
        index = torch.cdist(x, centres).argmin(-1)
        size = torch.bincount(index, minlength=count)[:, None].to(x.dtype)
        total = torch.zeros_like(centres).index_add_(0, index, x)
        moved = torch.where(size > 0, total / size.clamp_min(1), centres)
        if torch.allclose(moved, centres, atol=1e-6):
            break
        centres = moved
    return centres
