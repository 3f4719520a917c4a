"""What pads feel as little pictures (tac.image), and several kinds of touch sensors in one space (tac.align).

A window of readings as one token (tac.mlp) and forces at the wrist (ft.linear) are `encoders.senses.SenseToken`. The
one thing to watch: readings enter by their signed logarithm, as they do there.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.errors import ConfigError, ShapeError
from embodia.core.specs import ObservationSpec
from embodia.core.types import Observation, TokenGroup
from embodia.parts.encoders.senses import logarithmic, sense_of


class TouchImage(nn.Module):
    """The newest pads as little pictures, one token a cell, to the group "touch", (B pads*rows*columns width).

    Raises `ConfigError` for pads that have no rows and columns.
    """

    def __init__(self, spec: ObservationSpec, width: int) -> None:
        super().__init__()
        sense = sense_of(spec, "touch")
        if len(sense.shape) != 3:
            raise ConfigError(f"pads are (pads rows columns), got {sense.shape}", leaf="touch")
        self.pads = sense.shape
        self.stem = nn.Sequential(nn.Conv2d(1, width // 2, 3, padding=1), nn.GELU(), nn.Conv2d(width // 2, width, 1))
        self.position = nn.Parameter(torch.randn(sense.size, width))

    def forward(self, observation: Observation) -> TokenGroup:
        """All cells of all pads. Raises `ShapeError` when nothing is felt where it is promised."""
        if observation.touch is None:
            raise ShapeError("the observation has no touch", leaf="touch")
        pads = logarithmic(observation.touch[:, -1].float())
        cells = self.stem(pads.flatten(0, 1)[:, None]).flatten(2).transpose(1, 2)
        tokens = cells.unflatten(0, (len(pads), -1)).flatten(1, 2)
        return TokenGroup(name="touch", tokens=tokens, mask=None, attends_to=("touch",), position=self.position)


class SharedTouch(nn.Module):
    """Several kinds of touch sensors in one space (tac.align; AnyTouch, Feng et al. 2025): a stem a kind, one trunk.

    `sizes` is kind -> how many numbers a reading has.
    """

    def __init__(self, sizes: dict[str, int], hidden: int, width: int) -> None:
        super().__init__()
        self.stems = nn.ModuleDict({kind: nn.Linear(size, hidden) for kind, size in sizes.items()})
        self.kinds = nn.ParameterDict({kind: nn.Parameter(0.02 * torch.randn(hidden)) for kind in sizes})
        self.trunk = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.sharpness = nn.Parameter(torch.tensor(2.0))

    def forward(self, kind: str, readings: Tensor) -> Tensor:
        """Readings (B D) of one kind to vectors (B width) of length one. Raises `ConfigError` for an unknown kind."""
        if kind not in self.stems:
            raise ConfigError(f"no touch sensor {kind!r}, only {sorted(self.stems)}", leaf=kind)
        return F.normalize(self.trunk(self.stems[kind](readings) + self.kinds[kind]), dim=-1)

    def contrast(self, first: Tensor, second: Tensor) -> Tensor:
        """Loss (B,) of telling which vectors of two kinds felt the same contact: row i of both did."""
        score = self.sharpness.exp() * first @ second.T
        same = torch.arange(len(score), device=score.device)
        return (F.cross_entropy(score, same, reduction="none") + F.cross_entropy(score.T, same, reduction="none")) / 2
