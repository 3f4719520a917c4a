"""Positions on a map and turns as ids (tok.pixel): where to act is a pixel, how to turn is one of a few angles.

Transporter and CLIPort pick among 36 turns on a grid of pixels (arXiv 2010.14406, 2109.12098); key-frame policies cut
three Euler angles in steps of five degrees (72 each). The one thing to watch: angles wrap around, positions do not.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from embodia.core.errors import ConfigError
from embodia.parts.tokenizers.protocol import require_chunk


class PixelTokenizer(nn.Module):
    """(B H A), A = 2 + angles (+ 1 with `gripper`), to (B H*L): the cell, each angle, the gripper.

    Positions x, y in -1..1 span `columns` and `rows`; angles in -1..1 are half turns; a positive gripper is 1.
    """

    def __init__(
        self, chunk: int, rows: int, columns: int, rotations: int = 36, angles: int = 1, *, gripper: bool = False
    ) -> None:
        super().__init__()
        if min(rows, columns, rotations) < 1:
            raise ConfigError(f"{rows} x {columns} cells and {rotations} turns", leaf="rows")
        self.chunk, self.rows, self.columns, self.rotations = chunk, rows, columns, rotations
        self.angles, self.gripper, self.dim = angles, gripper, 2 + angles + gripper
        self.sizes = (rows * columns, *(rotations,) * angles, *(2,) * gripper)
        self.vocabulary, self.length = sum(self.sizes), chunk * len(self.sizes)

    def encode(self, actions: Tensor) -> Tensor:
        """Ids int64 (B H*L). Raises `ShapeError` for a chunk of another shape."""
        require_chunk(actions, self.chunk, self.dim)
        column, row = _cell(actions[..., 0], self.columns), _cell(actions[..., 1], self.rows)
        turns = ((actions[..., 2 : 2 + self.angles] + 1) / 2 * self.rotations).round().long() % self.rotations
        fields = [(row * self.columns + column)[..., None], turns]
        if self.gripper:
            fields.append((actions[..., -1:] > 0).long())
        return (torch.cat(fields, dim=-1) + self._starts(actions)).flatten(1)

    def decode(self, ids: Tensor) -> Tensor:
        """Centres of cells, angles in -1..1 and a gripper of -1 or 1, float32 (B H A)."""
        fields = ids.unflatten(1, (self.chunk, len(self.sizes))) - self._starts(ids)
        fields = fields.clamp_min(0).minimum(torch.tensor(self.sizes, device=ids.device) - 1)
        cell = fields[..., 0]
        x = (cell % self.columns + 0.5) / self.columns * 2 - 1
        y = (cell // self.columns + 0.5) / self.rows * 2 - 1
        turns = fields[..., 1 : 1 + self.angles] / self.rotations * 2 - 1
        parts = [torch.stack([x, y], dim=-1), turns]
        if self.gripper:
            parts.append(2.0 * fields[..., -1:] - 1)
        return torch.cat(parts, dim=-1).float()

    def choices(self, prefix: Tensor) -> Tensor:
        """Bool (B vocabulary): ids of the field whose turn it is after `prefix` (B P)."""
        turn = prefix.shape[1] % len(self.sizes)
        start = int(self._starts(prefix)[turn])
        allowed = torch.zeros(len(prefix), self.vocabulary, dtype=torch.bool, device=prefix.device)
        allowed[:, start : start + self.sizes[turn]] = True
        return allowed

    def _starts(self, like: Tensor) -> Tensor:
        sizes = torch.tensor((0, *self.sizes[:-1]), device=like.device)
        return sizes.cumsum(0)


def _cell(value: Tensor, count: int) -> Tensor:
    return ((value + 1) / 2 * count).floor().clamp(0, count - 1).long()
