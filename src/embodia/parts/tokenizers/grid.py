"""Adaptive action grid (tok.grid): few tokens a step, cells of equal probability (SpatialVLA, arXiv 2501.15830).

Dimensions that belong together share one token: a translation in spherical coordinates, a rotation in three angles, the
gripper. A Gaussian is fitted to each coordinate and its axis cut where the bins are equally probable under it, so cells
are small where the data lies. The published grid has 4096 + 4096 + 2 cells and three tokens a step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from embodia.core.errors import ConfigError
from embodia.core.specs import ActionPart, ActionSpec
from embodia.parts.tokenizers.protocol import require_chunk


@dataclass(frozen=True, kw_only=True)
class GridGroup:
    """Dimensions `first`..`first + len(bins)` of an action as one token of prod(bins) cells.

    `spherical`: three dimensions x y z are cut along polar angle (from +z), azimuth and radius instead.
    """

    name: str
    first: int
    bins: tuple[int, ...]
    spherical: bool = False

    def __post_init__(self) -> None:
        if not self.bins or min(self.bins) < 1 or (self.spherical and len(self.bins) != 3):
            raise ConfigError(f"bins {self.bins} of {self.name!r}", leaf="bins")

    @property
    def cells(self) -> int:
        """Number of ids of this group."""
        return math.prod(self.bins)


def grid_groups(
    spec: ActionSpec,
    translation: tuple[int, int, int] = (16, 32, 8),
    rotation: tuple[int, int, int] = (16, 16, 16),
    gripper: int = 2,
    other: int = 16,
) -> tuple[GridGroup, ...]:
    """The groups of a body's action: hand steps and turns of three numbers as published, others three at a time."""
    groups: list[GridGroup] = []
    first = 0
    for part in spec.parts:
        groups += _groups_of(part, first, translation, rotation, gripper, other)
        first += part.dim
    return tuple(groups)


class GridTokenizer(nn.Module):
    """(B H A) to (B H*groups): ids of group g begin behind the cells of the groups before it.

    `edges` (dims, most - 1) are the inner borders of each coordinate's bins, `centres` (dims, most) what a bin is
    decoded to: the mean of the fitted data in it, the Gaussian's median where there is none.
    """

    edges: Tensor
    centres: Tensor

    def __init__(self, chunk: int, dim: int, groups: Sequence[GridGroup], deviation: float = 0.5) -> None:
        super().__init__()
        covered = sorted(first for group in groups for first in range(group.first, group.first + len(group.bins)))
        if covered != list(range(dim)):
            raise ConfigError(f"groups cover the dimensions {covered} of {dim}", leaf="groups")
        self.chunk, self.dim, self.groups = chunk, dim, tuple(groups)
        self.starts = [sum(group.cells for group in self.groups[:index]) for index in range(len(self.groups))]
        self.vocabulary = sum(group.cells for group in self.groups)
        self.length = chunk * len(self.groups)
        most = max(max(group.bins) for group in groups)
        self.register_buffer("edges", torch.zeros(dim, most - 1))
        self.register_buffer("centres", torch.zeros(dim, most))
        means = torch.zeros(dim)
        for group in self.groups:
            if group.spherical:
                means[group.first : group.first + 3] = torch.tensor([math.pi / 2, 0.0, 1.7 * deviation])
        self._cut(means, torch.full((dim,), deviation))

    def fit(self, actions: Tensor) -> None:
        """A Gaussian for every coordinate of chunks (N H A), then borders of equal probability."""
        coordinates = self._coordinates(actions.flatten(0, 1).to(self.edges))
        self._cut(coordinates.mean(0), coordinates.std(0, correction=0).clamp_min(1e-4))
        for group in self.groups:
            for row, bins in enumerate(group.bins, start=group.first):
                self._settle(coordinates[:, row], row, bins)

    def encode(self, actions: Tensor) -> Tensor:
        """Ids int64 (B H*groups). Raises `ShapeError` for a chunk of another shape."""
        require_chunk(actions, self.chunk, self.dim)
        coordinates = self._coordinates(actions.to(self.edges))
        above = coordinates[..., None] > self.edges
        found = []
        for group, start in zip(self.groups, self.starts, strict=True):
            cell = coordinates.new_zeros(coordinates.shape[:2], dtype=torch.long)
            for offset, bins in enumerate(group.bins):
                cell = cell * bins + above[..., group.first + offset, : bins - 1].sum(-1)
            found.append(cell + start)
        return torch.stack(found, dim=-1).flatten(1)

    def decode(self, ids: Tensor) -> Tensor:
        """What the cells stand for, float32 (B H A); an id of another group means that group's nearest cell."""
        ids = ids.unflatten(1, (self.chunk, len(self.groups)))
        coordinates = self.centres.new_zeros(*ids.shape[:2], self.dim)
        for index, (group, start) in enumerate(zip(self.groups, self.starts, strict=True)):
            cell = (ids[..., index] - start).clamp(0, group.cells - 1)
            for offset in reversed(range(len(group.bins))):
                bins = group.bins[offset]
                coordinates[..., group.first + offset] = self.centres[group.first + offset][cell % bins]
                cell = cell // bins
        return self._actions(coordinates)

    def choices(self, prefix: Tensor) -> Tensor:
        """Bool (B vocabulary): the cells of the group whose turn it is after `prefix` (B P)."""
        index = prefix.shape[1] % len(self.groups)
        allowed = torch.zeros(len(prefix), self.vocabulary, dtype=torch.bool, device=prefix.device)
        allowed[:, self.starts[index] : self.starts[index] + self.groups[index].cells] = True
        return allowed

    def _cut(self, mean: Tensor, deviation: Tensor) -> None:
        for group in self.groups:
            for offset, bins in enumerate(group.bins):
                row = group.first + offset
                normal = torch.distributions.Normal(mean[row], deviation[row], validate_args=False)
                shares = torch.arange(1, 2 * bins, device=mean.device) / (2 * bins)
                borders = _within(group, offset, normal, shares)
                self.edges[row, : bins - 1] = borders[1::2]
                self.centres[row, :bins] = borders[::2]

    def _settle(self, values: Tensor, row: int, bins: int) -> None:
        index = (values[:, None] > self.edges[row, : bins - 1]).sum(-1)
        count = torch.bincount(index, minlength=bins)
        total = values.new_zeros(bins).index_add_(0, index, values)
        medians = self.centres[row, :bins]
        self.centres[row, :bins] = torch.where(count > 0, total / count.clamp_min(1), medians)

    def _coordinates(self, actions: Tensor) -> Tensor:
        parts = actions.clone()
        for group in self.groups:
            if group.spherical:
                x, y, z = actions[..., group.first : group.first + 3].unbind(-1)
                radius = (x * x + y * y + z * z).sqrt()
                polar = torch.where(radius > 0, (z / radius.clamp_min(1e-12)).clamp(-1, 1), torch.zeros_like(z)).acos()
                parts[..., group.first : group.first + 3] = torch.stack([polar, torch.atan2(y, x), radius], dim=-1)
        return parts

    def _actions(self, coordinates: Tensor) -> Tensor:
        actions = coordinates.clone()
        for group in self.groups:
            if group.spherical:
                polar, azimuth, radius = coordinates[..., group.first : group.first + 3].unbind(-1)
                flat = radius * polar.sin()
                point = [flat * azimuth.cos(), flat * azimuth.sin(), radius * polar.cos()]
                actions[..., group.first : group.first + 3] = torch.stack(point, dim=-1)
        return actions.float()


def _within(group: GridGroup, offset: int, normal: torch.distributions.Normal, shares: Tensor) -> Tensor:
    """Quantiles of the Gaussian cut off where the coordinate ends: angles and radii have bounds."""
    if not group.spherical:
        low, high = shares.new_zeros(()), shares.new_ones(())
    else:
        bounds = ((0.0, math.pi), (-math.pi, math.pi), (0.0, 1e6))[offset]
        low, high = (normal.cdf(shares.new_tensor(bound)) for bound in bounds)
    return normal.icdf((low + shares * (high - low)).clamp(1e-7, 1 - 1e-7))


def _groups_of(
    part: ActionPart,
    first: int,
    translation: tuple[int, int, int],
    rotation: tuple[int, int, int],
    gripper: int,
    other: int,
) -> list[GridGroup]:
    if part.dim == 3 and part.representation in ("ee_position", "ee_position_delta"):
        return [GridGroup(name=part.name, first=first, bins=translation, spherical=True)]
    if part.dim == 3 and part.representation in ("ee_rotation", "ee_rotation_delta"):
        return [GridGroup(name=part.name, first=first, bins=rotation)]
    if part.representation == "gripper":
        return [GridGroup(name=f"{part.name}{i}", first=first + i, bins=(gripper,)) for i in range(part.dim)]
    sizes = [min(3, part.dim - start) for start in range(0, part.dim, 3)]
    return [
        GridGroup(name=f"{part.name}{index}", first=first + 3 * index, bins=(other,) * size)
        for index, size in enumerate(sizes)
    ]
