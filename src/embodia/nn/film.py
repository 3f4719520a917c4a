"""FiLM (Perez et al. 2018): a condition scales and shifts the channels of many layers.

All layers of a network share one condition, so their linear maps are one matrix: one product instead of one a layer. In
a sampler only the time part of the condition changes between steps, so the part that stays is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional


class FilmBank(nn.Module):
    """Scales and shifts for layers of `channels` widths, from a condition in two parts: time and the rest.

    The condition passes through Mish first, as in Diffusion Policy's U-Net.
    """

    def __init__(self, time_width: int, condition_width: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.sizes = [2 * count for count in channels]
        both = nn.Linear(time_width + condition_width, sum(self.sizes))
        self.weight_time = nn.Parameter(both.weight[:, :time_width].detach().clone())
        self.weight_condition = nn.Parameter(both.weight[:, time_width:].detach().clone())
        self.bias = nn.Parameter(both.bias.detach().clone())

    def condition(self, condition: Tensor) -> Tensor:
        """The part that does not change while sampling: (B C) to (B, sum of sizes)."""
        return functional.linear(functional.mish(condition), self.weight_condition, self.bias)

    def forward(self, time: Tensor, fixed: Tensor) -> tuple[Tensor, ...]:
        """Per layer (B, 2 * channels), scale first; `time` (B W), `fixed` from `condition`."""
        return (fixed + functional.linear(functional.mish(time), self.weight_time)).split(self.sizes, dim=-1)


class Film(nn.Module):
    """One vector scaled and shifted by another: x (1 + scale) + shift, starting close to x itself."""

    def __init__(self, width: int, condition_width: int) -> None:
        super().__init__()
        self.project = nn.Linear(condition_width, 2 * width)
        nn.init.normal_(self.project.weight, std=0.02)
        nn.init.zeros_(self.project.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(... W) from x (... W) and the condition (... C)."""
        scale, shift = self.project(condition).chunk(2, dim=-1)
        return shift + x * (1 + scale)


def modulate(x: Tensor, film: Tensor) -> Tensor:
    """(B C T) scaled and shifted by (B 2C)."""
    scale, shift = film[..., None].chunk(2, dim=1)
    return shift + scale * x
