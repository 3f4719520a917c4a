"""Spatial softmax (Finn et al. 2016): each channel of a feature map becomes the point where it looks.

Coordinates run from -1 to 1, x to the right and y downwards; the corners are the centres of the corner cells.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SpatialSoftmax(nn.Module):
    """Feature maps (N C h w) to points (N K 2), each (x, y), through a 1x1 convolution to K maps."""

    def __init__(self, channels: int, keypoints: int) -> None:
        super().__init__()
        self.maps = nn.Conv2d(channels, keypoints, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Expected position under the softmax of each map."""
        maps = self.maps(features)
        rows, columns = maps.shape[-2:]
        weight = maps.flatten(2).float().softmax(-1).unflatten(-1, (rows, columns))
        x = weight.sum(-2) @ centres(columns, weight)
        y = weight.sum(-1) @ centres(rows, weight)
        return torch.stack([x, y], dim=-1)


def standard(response: Tensor) -> Tensor:
    """Maps (... h*w) with mean 0 and deviation 1 each: of one that starts flat all places learn at once."""
    spread, middle = torch.std_mean(response, dim=-1, keepdim=True)
    return (response - middle) / (spread + 0.05)


def centres(count: int, like: Tensor) -> Tensor:
    """(count,) coordinates from -1 to 1; a single cell lies at -1, the start of the range, as in numpy's linspace."""
    return torch.linspace(-1, 1, count, dtype=like.dtype, device=like.device)
