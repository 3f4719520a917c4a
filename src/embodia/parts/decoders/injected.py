"""Something new told to a trained action expert without disturbing it (fuse.inject_zero): PointVLA's way.

What the group `told` says is added to the actions' tokens before some blocks, each through a layer that starts at zero:
a trained policy acts as before until it has learned to listen. The one thing to watch: choose blocks that can be left
out without harm, the later ones of PointVLA's analysis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from embodia.core.protocols import Context
from embodia.nn.groups import repeat_rows
from embodia.parts.context import Context as Seen
from embodia.parts.decoders.dit import AdaptiveDit


@dataclass(frozen=True)
class Told:
    """What every step reuses: the vector of the expert itself (B C), and what is added before blocks (B 1 W)."""

    vector: Tensor
    injected: Mapping[int, Tensor]


class InjectedDit(nn.Module):
    """`expert` with the mean of the group `told` (B N width) injected before `blocks`; the expert never sees it else.

    `frozen` expert learns nothing.
    """

    def __init__(
        self, expert: AdaptiveDit, told: str, width: int, blocks: tuple[int, ...], *, frozen: bool = False
    ) -> None:
        super().__init__()
        self.expert, self.told = expert, told
        if frozen:
            expert.requires_grad_(False)
        inner = expert.config.width
        self.common = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, inner))
        self.into = nn.ModuleDict({str(block): nn.Linear(inner, inner) for block in blocks})
        for layer in self.into.values():
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def condition(self, context: Context, n: int = 1) -> Told:
        """Made once for all steps and samples."""
        others = Seen(groups={name: group for name, group in context.groups.items() if name != self.told})
        common = self.common(context.groups[self.told].tokens.mean(1, keepdim=True))
        injected = {int(block): repeat_rows(layer(common), n) for block, layer in self.into.items()}
        return Told(self.expert.condition(others, n), injected)

    def forward(self, told: Told, noisy: Tensor, time: Tensor) -> Tensor:
        """(B H A)."""
        found: Tensor = self.expert(told.vector, noisy, time, told.injected)
        return found
