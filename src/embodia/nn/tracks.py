"""Points followed through a short film, and their paths drawn on the last picture (vis.trace).

A point is looked for near where it was, by the sum of squared differences of a small window; that is enough for films
of a few steps from a standing camera. Drawing follows TraceVLA (Zheng et al. 2024). The one thing to watch: points that
hardly move are not drawn, so a picture without motion stays as it is.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

COLOURS = ((255, 64, 64), (64, 255, 64), (64, 64, 255), (255, 255, 64), (255, 64, 255))


def track(film: Tensor, points: int, *, window: int = 2, reach: int = 3) -> Tensor:
    """Paths (B T points^2 2), pixels right and down, of a regular grid of points in films (B T H W 3)."""
    batch, steps, rows, columns = film.shape[:4]
    grey = film.float().mean(-1)
    right = (torch.arange(points, device=film.device) + 0.5) * columns / points
    down = (torch.arange(points, device=film.device) + 0.5) * rows / points
    here = torch.cartesian_prod(down, right).flip(-1).expand(batch, -1, -1).contiguous()
    near = _offsets(reach, film)
    order = near.square().sum(-1).argsort(stable=True)
    near, paths = near[order], [here]
    for step in range(1, steps):
        before = _windows(grey[:, step - 1], here[:, :, None], window)
        after = _windows(grey[:, step], here[:, :, None] + near, window)
        best = (after - before).square().sum(-1).argmin(-1)
        limit = torch.tensor([columns - 1, rows - 1], device=film.device)
        here = (here + near[best]).clamp_min(0).minimum(limit)
        paths.append(here)
    return torch.stack(paths, dim=1)


def draw(picture: Tensor, paths: Tensor, *, least: float = 1.0, most: int = 5) -> Tensor:
    """A copy of pictures (B H W 3), uint8, with the `most` longest paths (B T P 2) that are `least` pixels long."""
    found = picture.clone()
    length = paths.diff(dim=1).norm(dim=-1).sum(1)
    order = length.argsort(dim=1, descending=True, stable=True)[:, :most]
    for row in range(len(picture)):
        for rank, index in enumerate(order[row].tolist()):
            if length[row, index] >= least:
                _line(found[row], paths[row, :, index], COLOURS[rank % len(COLOURS)])
    return found


def _line(picture: Tensor, path: Tensor, colour: tuple[int, int, int]) -> None:
    share = torch.linspace(0, 1, 16, device=path.device)[:, None]
    dots = torch.cat([first + share * (last - first) for first, last in pairwise(path)])
    place = dots.round().long()
    rows, columns = place[:, 1].clamp(0, len(picture) - 1), place[:, 0].clamp(0, picture.shape[1] - 1)
    picture[rows, columns] = torch.tensor(colour, dtype=picture.dtype, device=picture.device)


def _offsets(reach: int, like: Tensor) -> Tensor:
    steps = torch.arange(-reach, reach + 1, device=like.device, dtype=torch.float32)
    return torch.cartesian_prod(steps, steps)


def _windows(grey: Tensor, places: Tensor, window: int) -> Tensor:
    """Values (B P K W) of pictures (B H W) around places (B P K 2)."""
    rows, columns = grey.shape[-2:]
    spots = places[..., None, :] + _offsets(window, grey)
    scale = torch.tensor([columns - 1, rows - 1], device=grey.device) / 2
    grid = (spots / scale - 1).flatten(2, 3)
    found = F.grid_sample(grey[:, None], grid, mode="bilinear", padding_mode="border", align_corners=True)
    return found[:, 0].unflatten(2, spots.shape[2:4])
