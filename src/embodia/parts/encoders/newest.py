"""An encoder that sees the newest moment alone, in a policy whose other encoders see several."""

from __future__ import annotations

from torch import nn

from embodia.core.types import Observation, TokenGroup


class Newest(nn.Module):
    """The group of `encoder`, made from the last time step of an observation."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.tokens: int = encoder.tokens  # type: ignore[assignment]

    def forward(self, observation: Observation) -> TokenGroup:
        """Tokens of one step."""
        return self.encoder(observation.map(lambda array: array[:, -1:]))  # type: ignore[no-any-return]
