"""A stem that answers "where is what the sentence names?": keypoints whose detectors the condition steers.

A few residual 3x3 convolutions at a quarter of the picture's resolution, without norms (group norm is a third of such a
stem's time on a CPU); then K detectors, each a vector compared with every cell, shifted by the condition; then the
softmax of each response as a point. Responses are standardised over the picture and sharpened first: a softmax that
starts flat sees the centre of everything and takes several times as long to learn where to look. A coarse pooled grid
beside the points says what the scene looks like.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodia.nn.keypoints import centres, standard

SHARPNESS = 4.0


class KeypointStem(nn.Module):
    """Pictures (N 3 H W) and conditions (N C) to tokens (N 1 + cells^2, width): points first, then the grid.

    `patch` pixels a side make one cell of the map, so H and W must be multiples of it.
    """

    def __init__(
        self, condition: int, width: int, *, patch: int, channels: int, keypoints: int, cells: int, grid_channels: int
    ) -> None:
        super().__init__()
        self.patch, self.keypoints, self.cells = patch, keypoints, cells
        sizes = (3 * patch**2, channels, channels, channels)
        self.body = nn.ModuleList(nn.Conv2d(a, b, 3, 1, 1) for a, b in pairwise(sizes))
        self.detectors = nn.Parameter(0.15 * torch.randn(keypoints, channels))
        self.sharpness = nn.Parameter(torch.full((keypoints, 1), SHARPNESS))
        self.steer = nn.Linear(condition, keypoints * channels)
        self.points = nn.Sequential(nn.Linear(3 * keypoints, width), nn.GELU(), nn.Linear(width, width))
        self.grid = nn.ModuleList(
            nn.Conv2d(a, b, 3, 2, 1) for a, b in ((channels, grid_channels), (grid_channels, width))
        )
        for layer in (*self.body, *self.grid):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        nn.init.normal_(self.steer.weight, std=0.002)
        nn.init.zeros_(self.steer.bias)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Tokens of each picture."""
        x = folded_map(x, self.patch, self.body)
        points = self.points(self._found(x, condition).flatten(1))
        return torch.cat([points[:, None], self._grid(x)], dim=1)

    def find(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Keypoints (N keypoints 3), x and y in [-1, 1] and strength, and one token (N width) of all of them."""
        found = self._found(folded_map(x, self.patch, self.body), condition)
        return found, self.points(found.flatten(1))

    def _found(self, x: Tensor, condition: Tensor) -> Tensor:
        detectors = self.detectors + self.steer(condition).unflatten(-1, (self.keypoints, -1))
        response = standard((detectors.to(x.dtype) @ x.flatten(2)).float())
        weight = (response * self.sharpness).softmax(-1)
        strength = 0.2 * (weight * response).sum(-1)
        rows, columns = x.shape[-2:]
        ahead = centres(columns, weight).repeat(rows)
        down = centres(rows, weight).repeat_interleave(columns)
        return torch.stack([(weight * ahead).sum(-1), (weight * down).sum(-1), strength], dim=-1)

    def _grid(self, x: Tensor) -> Tensor:
        for layer in self.grid:
            x = functional.relu(layer(x), inplace=True)
        return functional.adaptive_avg_pool2d(x, self.cells).flatten(2).transpose(1, 2)


def folded_map(x: Tensor, patch: int, layers: nn.ModuleList) -> Tensor:
    """Pictures (N C H W), `patch` squared pixels a cell, through 3x3 convolutions; all but the first add to the map."""
    x = fold_patches(x, patch)
    x = functional.relu(layers[0](x), inplace=True)
    for layer in layers[1:]:
        x = x + functional.relu(layer(x), inplace=True)
    return x


def fold_patches(x: Tensor, patch: int) -> Tensor:
    """(N C H W) to (N p*p*C H/p W/p), pixels row by row, colours innermost: whole runs are copied."""
    rows = x.permute(0, 2, 3, 1).flatten(2).unflatten(1, (-1, patch)).unflatten(3, (x.shape[3] // patch, -1))
    return rows.transpose(2, 3).flatten(3).permute(0, 3, 1, 2)
