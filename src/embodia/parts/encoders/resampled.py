"""Few tokens of many (fuse.resampler): another eye's tokens, pressed into a fixed number a time step."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from embodia.core.types import Observation, TokenGroup
from embodia.nn.cross import CrossSizes, Resampler


@dataclass(frozen=True, kw_only=True)
class ResamplerConfig:
    """`count` tokens a time step after `depth` rounds of looking."""

    count: int = 64
    depth: int = 6
    sizes: CrossSizes = field(default_factory=CrossSizes)


class ResampledEyes(nn.Module):
    """The group "image" of `eye` (width `inside`) as `count` tokens of `width` a time step; cameras are read together.

    `steps` is the number of time steps, whose tokens must follow one another. `frozen` eyes do not learn.
    """

    def __init__(
        self, eye: nn.Module, config: ResamplerConfig, inside: int, width: int, *, steps: int = 1, frozen: bool = False
    ) -> None:
        super().__init__()
        self.eye, self.steps = eye, steps
        if frozen:
            eye.requires_grad_(False)
        self.resampler = Resampler(inside, config.count, config.depth, config.sizes)
        self.project = nn.Linear(inside, width)
        self.tokens = config.count

    def forward(self, observation: Observation) -> TokenGroup:
        """(B, T * count, width)."""
        seen = self.eye(observation)
        tokens = seen.tokens if seen.position is None else seen.tokens + seen.position
        batch = len(tokens)
        folded = tokens.unflatten(1, (self.steps, -1)).flatten(0, 1)
        mask = None if seen.mask is None else seen.mask.unflatten(1, (self.steps, -1)).flatten(0, 1)
        few = self.project(self.resampler(folded, mask)).unflatten(0, (batch, self.steps)).flatten(1, 2)
        return TokenGroup(name="image", tokens=few, mask=None, attends_to=("image",))
