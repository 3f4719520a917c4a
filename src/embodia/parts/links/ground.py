"""A place from above (link.ground): a box around the target in every picture, and the mask it stands for.

DexGraspVLA's planner says where the thing is and nothing else; the faster system sees the box as a token and, where it
looks at cells of a feature map, which cells lie inside. Boxes are soft at their edges, so that gradients may teach them
when nobody draws any. The one thing to watch: a box is four numbers a picture - all the faster system learns of the
instruction passes through them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from embodia.core.protocols import Groups
from embodia.core.types import Message, TokenGroup


class GroundLink(nn.Module):
    """Group `read` of the upper system (B N above) to boxes (B cameras 4), and to the lower system's group "target".

    A box is x, y of the centre and half width, half height, in units of the picture, 0 to 1. `grids` are rows and
    columns of the lower group "image" a camera; empty leaves the mask out. `softness` of the edges, same units.
    """

    def __init__(
        self,
        above: int,
        width: int,
        cameras: int,
        *,
        read: str,
        grids: Sequence[tuple[int, int]] = (),
        softness: float = 0.05,
        cut: bool = False,
        rate_hz: float = 1.0,
    ) -> None:
        super().__init__()
        self.read, self.grids, self.softness = read, tuple(grids), softness
        self.cut, self.rate_hz = cut, rate_hz
        self.box = nn.Sequential(nn.LayerNorm(above), nn.Linear(above, 4 * cameras))
        self.up = nn.Sequential(nn.Linear(4, width), nn.GELU(), nn.Linear(width, width))
        self.inside = nn.Parameter(0.5 * torch.randn(width)) if self.grids else None
        self.position = nn.Parameter(torch.randn(cameras, width))

    def emit(self, upper: Groups) -> Message:
        """{"boxes": (B cameras 4)}."""
        boxes = self.box(upper[self.read].tokens.mean(1)).unflatten(-1, (-1, 4)).sigmoid()
        boxes = boxes * boxes.new_tensor([1.0, 1.0, 0.5, 0.5])
        return Message(arrays={"boxes": boxes.detach() if self.cut else boxes})

    def absorb(self, groups: Groups, message: Message) -> dict[str, TokenGroup]:
        """The groups, cells inside a box marked, and "target" with one token a camera."""
        boxes: Tensor = message.arrays["boxes"]
        found: Mapping[str, TokenGroup] = groups
        if self.inside is not None:
            image = groups["image"]
            mask = torch.cat([self.mask(boxes[:, i], *grid) for i, grid in enumerate(self.grids)], dim=1)
            found = {**groups, "image": replace(image, tokens=image.tokens + mask[..., None] * self.inside)}
        target = TokenGroup(
            name="target", tokens=self.up(4 * boxes - 1), mask=None, attends_to=("target",), position=self.position
        )
        return {**found, "target": target}

    def mask(self, boxes: Tensor, rows: int, columns: int) -> Tensor:
        """How much each cell lies inside its box (B 4), row by row: (B rows * columns), 0 to 1."""
        across = (torch.arange(columns, device=boxes.device) + 0.5) / columns
        down = (torch.arange(rows, device=boxes.device) + 0.5) / rows
        x, y, half_width, half_height = boxes.unbind(-1)
        within_x = ((half_width[:, None] - (across - x[:, None]).abs()) / self.softness).sigmoid()
        within_y = ((half_height[:, None] - (down - y[:, None]).abs()) / self.softness).sigmoid()
        return (within_y[:, :, None] * within_x[:, None, :]).flatten(1)
