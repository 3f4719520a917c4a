"""A backbone that reads every time step by itself: the language model of policies with a recurrent head.

RoboFlamingo's and RoboVLMs' language models see one moment; what carries the past is the head behind them. Time steps
become rows of the batch and come back as runs of tokens. The one thing to watch: groups without time (a sentence) are
read anew in every step and come back once a step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from embodia.core.types import TokenGroup


class PerStep(nn.Module):
    """`backbone` over groups (B, steps * k, D), one step at a time; `still` groups (B k D) stand in every step.

    There is no cache that could be read on.
    """

    def __init__(self, backbone: nn.Module, steps: int, still: tuple[str, ...] = ("language",)) -> None:
        super().__init__()
        self.backbone, self.steps, self.still = backbone, steps, still

    def forward(self, groups: Mapping[str, TokenGroup], cache: Any = None) -> tuple[dict[str, TokenGroup], Any]:
        """Every group, step by step, (B, steps * k, D)."""
        found, _ = self.backbone({name: self._apart(group) for name, group in groups.items()}, None)
        return {name: self._together(group) for name, group in found.items()}, cache

    def _apart(self, group: TokenGroup) -> TokenGroup:
        tokens = group.tokens if group.position is None else group.tokens + group.position
        mask = None if group.mask is None else self._rows(group.mask, group.name)
        return replace(group, tokens=self._rows(tokens, group.name), mask=mask, position=None)

    def _rows(self, array: Tensor, name: str) -> Tensor:
        if name in self.still:
            return array.repeat_interleave(self.steps, dim=0)
        return array.unflatten(1, (self.steps, -1)).flatten(0, 1)

    def _together(self, group: TokenGroup) -> TokenGroup:
        tokens = group.tokens.unflatten(0, (-1, self.steps)).flatten(1, 2)
        mask = None if group.mask is None else group.mask.unflatten(0, (-1, self.steps)).flatten(1, 2)
        return replace(group, tokens=tokens, mask=mask)
