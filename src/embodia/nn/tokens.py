"""Groups of tokens as one sequence: joined tokens, joined positions, joined mask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from embodia.core.types import TokenGroup


def join(groups: Mapping[str, TokenGroup]) -> Tensor:
    """(B N D), the groups' tokens in order."""
    return torch.cat([group.tokens for group in groups.values()], dim=1)


def positions(groups: Mapping[str, TokenGroup]) -> Tensor:
    """(N D), zeros for a group that carries none."""
    rows = []
    for group in groups.values():
        tokens = group.tokens
        rows.append(tokens.new_zeros(tokens.shape[1:]) if group.position is None else group.position)
    return torch.cat(rows)


def key_mask(groups: Mapping[str, TokenGroup]) -> Tensor | None:
    """Which keys are real, bool (B 1 1 N) for attention; None when all are."""
    if all(group.mask is None for group in groups.values()):
        return None
    rows = []
    for group in groups.values():
        shape = group.tokens.shape[:2]
        rows.append(group.tokens.new_ones(shape, dtype=torch.bool) if group.mask is None else group.mask)
    return torch.cat(rows, dim=1)[:, None, None]


def positioned(group: TokenGroup, attends_to: tuple[str, ...]) -> TokenGroup:
    """The group with its position added to its tokens, looking at the groups named."""
    tokens = group.tokens if group.position is None else group.tokens + group.position
    return replace(group, tokens=tokens, position=None, attends_to=attends_to, within="full")
