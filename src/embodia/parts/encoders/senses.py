"""A sense beside the cameras as one token: a window of force, touch or sound through one layer or two.

Readings have a long tail (a collision is a hundred times a caress) and no statistics of their own, so they enter by
their signed logarithm: tenths of a newton stay apart and a blow does not drown them. The one thing to watch: a window
longer than the history that a policy asks for is filled with the oldest step it has.
"""

from __future__ import annotations

from torch import Tensor, nn

from embodia.core.errors import ConfigError, ShapeError
from embodia.core.specs import ObservationSpec, Sense, SenseSpec
from embodia.core.types import Observation, TokenGroup
from embodia.nn.mlp import projection


class SenseToken(nn.Module):
    """The newest `window` steps of a sense (B T ...) to one token, the group of its name (B 1 width).

    `deep` puts a hidden layer before the token.
    """

    def __init__(self, sense: SenseSpec, width: int, window: int = 1, *, deep: bool = False) -> None:
        super().__init__()
        self.sense, self.window = sense.name, window
        self.project = projection(sense.size * window, width, deep)

    def forward(self, observation: Observation) -> TokenGroup:
        """Raises `ShapeError` when the observation lacks the sense."""
        reading = getattr(observation, self.sense)
        if reading is None:
            raise ShapeError(f"the observation has no {self.sense}", leaf=self.sense)
        tokens = self.project(logarithmic(_window(reading.float(), self.window)).flatten(1))[:, None]
        return TokenGroup(name=self.sense, tokens=tokens, mask=None, attends_to=(self.sense,))


def sense_of(spec: ObservationSpec, name: Sense) -> SenseSpec:
    """The sense of that name. Raises `ConfigError` where the body lacks it."""
    found = spec.sense(name)
    if found is None:
        known = ", ".join(sense.key for sense in spec.senses) or "none"
        raise ConfigError(f"this policy needs the sense {name!r}; the body has {known}", leaf=f"senses.{name}")
    return found


def logarithmic(x: Tensor) -> Tensor:
    """sign(x) log(1 + |x|): nearly x where it is small, slow where it is large."""
    return x.sign() * x.abs().log1p()


def _window(reading: Tensor, steps: int) -> Tensor:
    missing = steps - reading.shape[1]
    if missing > 0:
        return reading[:, [0] * missing + list(range(reading.shape[1]))]
    return reading[:, -steps:]
