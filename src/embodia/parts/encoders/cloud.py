"""Senses as they are, for parts that think in metres: the cloud of points, and where the tool is.

These groups have widths of their own, so a backbone that is not told of them must let them pass.
"""

from __future__ import annotations

from torch import nn

from embodia.core.errors import ConfigError, ShapeError
from embodia.core.specs import ObservationSpec
from embodia.core.types import Observation, TokenGroup
from embodia.nn.normalize import Normalizer
from embodia.nn.shared import Shared
from embodia.nn.tool import Tool, posture


class Cloud(nn.Module):
    """The newest points as the group "cloud", (B N 6). Raises `ConfigError` for a body without points."""

    def __init__(self, spec: ObservationSpec) -> None:
        super().__init__()
        if spec.sense("points") is None:
            raise ConfigError(
                "this policy needs points", leaf="senses", cure="Record with the sense, on Desk senses=rgb,points."
            )

    def forward(self, observation: Observation) -> TokenGroup:
        """Raises `ShapeError` when the observation has no points."""
        if observation.points is None:
            raise ShapeError("the observation has no points", leaf="points")
        return TokenGroup(name="cloud", tokens=observation.points[:, -1].float(), mask=None, attends_to=("cloud",))


class ToolNow(nn.Module):
    """Where the tool is, as the group "tool", (B 1 5): x y z (m), turn (rad), opening; see `nn.tool.posture`."""

    def __init__(self, tool: Tool, units: Normalizer) -> None:
        super().__init__()
        self.tool, self.units = tool, Shared(units)

    def forward(self, observation: Observation) -> TokenGroup:
        """Raises `ShapeError` when the observation has no state."""
        if observation.state is None:
            raise ShapeError("the observation has no state", leaf="state")
        now = posture(self.tool, self.units.undo(observation.state[:, -1:]))
        return TokenGroup(name="tool", tokens=now, mask=None, attends_to=("tool",))
