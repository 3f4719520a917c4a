"""Noise on executed actions, so that demonstrations show how to come back; the expert's own action is what is recorded.

Source: Laskey et al. 2017, DART: noise injected into the demonstrator's actions covers states that a learner's errors
lead to. Here it is a smooth (autoregressive) tremor plus rare short pushes. The one thing to watch: while a gripper
holds something the noise is scaled down, or objects are lost that the expert cannot pick up again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from embodia.core.errors import ConfigError
from embodia.core.specs import ActionSpec

_LEFT_ALONE = ("gripper", "ee_rotation")
"""What is not disturbed: grippers, and absolute orientations, whose unit is far larger than a step."""
Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True)
class NoiseConfig:
    """How episodes are disturbed; all sizes are in action units.

    `share` of the episodes is disturbed (0: none). The tremor has standard deviation `tremor` and keeps the fraction
    `smoothness` from step to step. A push begins with probability `push_rate` at each step, lasts 2 to 5 steps and is
    uniform within +-`push`. While the expert closes the gripper both are scaled by `while_closed`.
    """

    share: float = 0.0
    tremor: float = 0.2
    smoothness: float = 0.8
    push_rate: float = 0.04
    push: float = 1.5
    while_closed: float = 0.25

    def __post_init__(self) -> None:
        fractions = (self.share, self.smoothness, self.push_rate, self.while_closed)
        if not all(0.0 <= value <= 1.0 for value in fractions) or min(self.tremor, self.push) < 0:
            raise ConfigError("shares and rates lie between 0 and 1, sizes are not negative", leaf="noise")


class Disturbance:
    """The noise of one episode: a pure function of the generator it is given."""

    def __init__(self, config: NoiseConfig, spec: ActionSpec, rng: np.random.Generator) -> None:
        parts = [part for part in spec.parts for _ in range(part.dim)]
        self._config, self._rng = config, rng
        self._low, self._high = (np.array([getattr(part, side) for part in parts]) for side in ("low", "high"))
        self._moves = np.array([part.representation not in _LEFT_ALONE for part in parts])
        signs = {"positive_closes": 1.0, "positive_opens": -1.0, "none": 0.0}
        self._closing = np.array([signs[part.polarity] for part in parts])
        self._active = bool(rng.random() < config.share)
        self._tremor = np.zeros(len(parts))
        self._push, self._left = np.zeros(len(parts)), 0

    def apply(self, action: Floats) -> npt.NDArray[np.float32]:
        """The action (A,) that is executed in place of the expert's, within the limits of the contract."""
        if not self._active:
            return np.asarray(action, dtype=np.float32)
        noise = self._next() * self._moves
        if float(self._closing @ action) > 0:
            noise = noise * self._config.while_closed
        return np.clip(action + noise, self._low, self._high).astype(np.float32)

    def _next(self) -> npt.NDArray[np.float64]:
        config, rng, size = self._config, self._rng, len(self._moves)
        fresh = config.tremor * np.sqrt(1.0 - config.smoothness**2)
        self._tremor = config.smoothness * self._tremor + fresh * rng.standard_normal(size)
        if self._left > 0:
            self._left -= 1
        elif rng.random() < config.push_rate:
            self._left = int(rng.integers(2, 6))
            self._push = rng.uniform(-config.push, config.push, size)
        return self._tremor + (self._push if self._left else 0.0)
