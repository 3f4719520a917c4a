"""Heat maps over several views: learned upsampling, the loss against a place, and the place that all views agree on.

Sources: convex upsampling as in RAFT (Teed and Deng 2020), used for actions by RVT-2 (Goyal et al. 2024); the place is
the point of space whose projections have the largest sum of heat (RVT). The one thing to watch: the place is refined by
a mean over its neighbours, so it moves smoothly with the maps although a best cell is chosen first.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.nn.noise import uniform
from embodia.nn.ortho import lattice, project, read

SHARPNESS = 8.0
"""Heat in the beginning, times this: a fresh network's is nearly the same everywhere."""


class ConvexUpsample(nn.Module):
    """Maps (N C h w) to one heat map of `factor` times the size, (N h*factor w*factor).

    Every fine pixel is a weighted mean of the nine coarse ones around it; the weights are learned.
    """

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.heat = nn.Conv2d(channels, 1, 3, padding=1)
        self.sharpness = nn.Parameter(torch.tensor(SHARPNESS))
        self.weights = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.GELU(), nn.Conv2d(channels, 9 * factor**2, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """The heat map."""
        rows, columns = x.shape[-2:]
        around = F.unfold(self.heat(x), 3, padding=1).view(len(x), 9, 1, rows, columns)
        weights = self.weights(x).view(len(x), 9, self.factor**2, rows, columns).softmax(1)
        return self.sharpness * F.pixel_shuffle((weights * around).sum(1), self.factor)[:, 0]


def heat_loss(heat: Tensor, seen: Tensor, spread: float) -> Tensor:
    """Cross-entropy (B,) of heat maps (B V h w) against Gaussians of `spread` pixels around `seen` (B V 2)."""
    rows, columns = heat.shape[-2:]
    down = (torch.arange(rows, device=heat.device) + 0.5) * 2 / rows - 1
    right = (torch.arange(columns, device=heat.device) + 0.5) * 2 / columns - 1
    place = seen.clamp(-1, 1)
    far = ((down - place[..., 1:]) * rows / 2)[..., :, None] ** 2
    far = far + (((right - place[..., :1]) * columns / 2) ** 2)[..., None, :]
    wanted = (-far / (2 * spread**2)).flatten(2).softmax(-1)
    return -(wanted * heat.flatten(2).log_softmax(-1)).sum(-1).mean(-1)


def lift(
    heat: Tensor, views: Tensor, centre: Tensor, half: Tensor, cells: int, n: int, rng: torch.Generator | None
) -> Tensor:
    """Places (B n 3) in metres: the one with the largest sum of heat, then draws with the probability that sum gives.

    heat (B V h w); the cube of each row is cut into `cells`^3 places.
    """
    grid = lattice(cells, centre, half)
    seen = project(grid, views, centre, half)[..., :2]
    score = read(heat[:, :, None], seen)[:, :, 0].sum(1)
    chosen = score.argmax(-1, keepdim=True)
    if n > 1:
        draw = uniform((len(score), n - 1, score.shape[-1]), score, rng).clamp(1e-9, 1 - 1e-9)
        chosen = torch.cat([chosen, (score[:, None] - (-draw.log()).log()).argmax(-1)], dim=1)
    return torch.stack([_refine(grid, score, chosen[:, index], half / cells) for index in range(n)], dim=1)


def near_best(logits: Tensor, chosen: Tensor, *, circular: bool) -> Tensor:
    """Where (... 1), in bins from the start of the first, the bins next to the `chosen` (... 1) have their mean.

    `circular` bins have no ends.
    """
    count = logits.shape[-1]
    apart = torch.arange(count, device=logits.device) - chosen
    if circular:
        apart = torch.remainder(apart + count // 2, count) - count // 2
    weight = logits.masked_fill(apart.abs() > 1, -torch.inf).softmax(-1)
    return chosen + 0.5 + (weight * apart).sum(-1, keepdim=True)


def _refine(grid: Tensor, score: Tensor, chosen: Tensor, cell: Tensor) -> Tensor:
    """The mean place (B 3) of the cells next to the `chosen` one, weighted by their probability."""
    best = grid.gather(1, chosen[:, None, None].expand(-1, 1, 3))
    near = ((grid - best).abs() <= 3.1 * cell[:, None, None]).all(-1)
    weight = score.masked_fill(~near, -torch.inf).softmax(-1)
    return (weight[..., None] * grid).sum(1)
