"""Which cells of a cube hold something (geo.occ)."""

from __future__ import annotations

import torch
from torch import Tensor


def occupied(points: Tensor, centre: Tensor, half: Tensor, size: int) -> Tensor:
    """Points (B N 3), metres, to bool (B size size size): whether a point lies in that cell of the cube.

    `centre` (3,) and `half` () are the cube's; a point at the origin of its frame is padding.
    """
    cell = ((points - centre) / half + 1) * size / 2
    inside = ((cell >= 0) & (cell < size)).all(-1) & (points.abs().sum(-1) > 0)
    place = cell.floor().long().clamp(0, size - 1)
    flat = (place[..., 0] * size + place[..., 1]) * size + place[..., 2]
    count = torch.zeros(len(points), size**3, device=points.device)
    count.scatter_add_(1, flat, inside.to(count.dtype))
    return (count > 0).unflatten(1, (size, size, size))
