"""Plays a policy's chunks one action at a time: what a control loop calls at every tick.

Between two decisions an action costs an index into a list, nothing is copied, checked or converted again. The one
thing to watch: `sense` is called only when a decision is due, so it may draw pictures.
"""

from __future__ import annotations

from collections.abc import Callable

from embodia.core.errors import ConfigError
from embodia.core.protocols import Carry, Policy, Rng
from embodia.core.types import Array, Observation


class ChunkPlayer:
    """Actions of one body from `policy`; `execute` actions of a chunk are played before it is asked again (0: all)."""

    def __init__(self, policy: Policy, *, execute: int = 0, rng: Rng = None) -> None:
        if execute < 0:
            raise ConfigError(f"execute must not be negative, got {execute}", leaf="execute")
        self._policy, self._execute, self._rng = policy, execute, rng
        self.reset()

    def reset(self) -> None:
        """Forget chunk and carry: a new episode begins."""
        self._carry: Carry = None
        self._rows: list[Array] = []
        self._next = 0

    @property
    def left(self) -> int:
        """Actions that can be played before the policy is asked again."""
        return len(self._rows) - self._next

    def action(self, sense: Callable[[], Observation]) -> Array:
        """The next action (A,) in the units of the contract; asks the policy about `sense()`, (1 T ...), when due."""
        place = self._next
        if place == len(self._rows):
            chunk, self._carry = self._policy.act(sense(), self._carry, self._rng)
            self._rows = list(chunk.actions[0, : self._execute or None])
            place = 0
        self._next = place + 1
        return self._rows[place]
