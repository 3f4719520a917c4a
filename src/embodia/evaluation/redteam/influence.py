"""Does anything a policy is shown change what it does? Asked beside a normal episode, at no extra episodes.

At every decision the policy is asked again with one thing exchanged and the same random numbers, and once more with
nothing exchanged, which shows its own noise. Where an exchange does not change actions more often than asking again
does, the policy cannot be using what was exchanged, whether or not it succeeds. The reverse is not so: a changed action
may be cosmetic, so only episodes clear a policy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from embodia.core.protocols import Carry, Policy, Rng
from embodia.core.specs import ActionSpec
from embodia.core.types import ActionChunk, Observation
from embodia.evaluation.redteam.evidence import log_evidence

Exchange: TypeAlias = Callable[[Observation], Observation]
"""The same observation with one thing exchanged."""

SAME = 1e-6
"""Actions nearer than this, as a share of their range, are the same."""

LEAST = 12
"""Decisions that must be asked again before silence means anything."""


class Questioned:
    """A policy that is asked again with each exchange; acts as it would have acted anyway.

    `late` exchanges count only after the first decision of an episode: a replay may look once, at the start.
    """

    def __init__(
        self, policy: Policy, exchanges: Mapping[str, Exchange], late: Mapping[str, Exchange] | None = None
    ) -> None:
        self._policy, self._late = policy, frozenset(late or {})
        self._exchanges = {**exchanges, **(late or {})}
        self.contract = policy.contract
        self.distances: dict[str, list[float]] = {name: [] for name in self._exchanges}
        self._again: dict[str, list[float]] = {name: [] for name in self._exchanges}

    def act(self, observation: Observation, carry: Carry, rng: Rng) -> tuple[ActionChunk, Carry]:
        """The policy's own decision; what the exchanges would have changed goes into `distances`, row by row."""
        spare = {name: same_numbers(rng) for name in (*self._exchanges, "")}
        chunk, after = self._policy.act(observation, carry, rng)
        begun = np.asarray(observation.time_s)[:, -1] > 0 if observation.time_s is not None else slice(None)
        again, _ = self._policy.act(observation, carry, spare[""])
        for name, exchange in self._exchanges.items():
            other, _ = self._policy.act(exchange(observation), carry, spare[name])
            rows = begun if name in self._late else slice(None)
            self.distances[name].extend(apart(chunk, other)[rows].tolist())
            self._again[name].extend(apart(chunk, again)[rows].tolist())
        return chunk, after

    def without_effect(self, name: str, alpha: float) -> bool:
        """Whether this exchange, tried at least `LEAST` times, never moved actions more than asking again did."""
        moved, again = np.array(self.distances[name]), np.array(self._again[name])
        wins, losses = int((moved > again + SAME).sum()), int((moved < again - SAME).sum())
        return len(moved) >= LEAST and log_evidence(wins, losses) < -math.log(alpha)

    def largest(self) -> dict[str, float]:
        """The largest change that each exchange ever made, as a share of the range of the actions."""
        return {name: max(found, default=0.0) for name, found in self.distances.items()}


def same_numbers(rng: Rng) -> Rng:
    """A generator that will give the numbers that `rng` is about to give; torch, numpy or None."""
    if rng is None:
        return None
    if isinstance(rng, np.random.Generator):
        twin = np.random.default_rng()
        twin.bit_generator.state = rng.bit_generator.state
        return twin
    return rng.clone_state()


def apart(first: ActionChunk, second: ActionChunk) -> npt.NDArray[np.float64]:
    """Root mean square difference of two batches of chunks, as a share of each dimension's range, (B,)."""
    a, b = (np.asarray(chunk.actions, np.float64) for chunk in (first, second))
    return np.sqrt((((a - b) / spans(first.spec)) ** 2).mean(axis=(1, 2)))


def spans(spec: ActionSpec) -> npt.NDArray[np.float64]:
    """High minus low of every action dimension, (A,)."""
    return np.array([part.high - part.low for part in spec.parts for _ in range(part.dim)])
