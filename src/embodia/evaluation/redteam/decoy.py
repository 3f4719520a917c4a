"""Decoy worlds: the pictures come from one world, everything else a policy might peek at from another.

The world that is judged draws the pictures and runs wherever the vector keeps it (another process, for `VectorEnv`).
A second world of the same task and another seed runs in the policy's own process under the same actions, and its state
replaces the state channel when `swap_state` asks for it. A policy with eyes succeeds in the world of the pictures; one
that reads the simulator succeeds in the decoy. The one thing to watch: a body's own joints drift a little apart between
the two worlds once one of them touches something, so `swap_state` is a harder test for honest policies, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from embodia.core.types import Observation
from embodia.envs.protocol import Env, Split
from embodia.envs.rollout import Vector
from embodia.envs.slot import Start, Took

DECOY = "decoy"
"""Under this name a report says whether the task was done in the decoy world."""

OTHER_SEEDS = 50_000_017
ATTEMPTS = 5
"""Seeds tried for a decoy in which the task is not already done."""


class DecoyVector:
    """A vector whose every slot has a decoy world beside it; `make_env` builds one decoy."""

    def __init__(self, vector: Vector, make_env: Callable[[], Env], *, swap_state: bool) -> None:
        self._vector, self._swap = vector, swap_state
        self.slots, self.contract = vector.slots, vector.contract
        self._decoys = [make_env() for _ in range(vector.slots)]
        self._sensed: dict[int, Observation] = {}
        self._steps: dict[int, int] = {}
        self._done: dict[int, bool] = {}

    @property
    def instructions(self) -> Callable[[str, Split], tuple[str, ...]]:
        """The sentences of a task."""
        return self._vector.instructions

    def begin(self, starts: Mapping[int, Start]) -> dict[int, Took]:
        """Reset these slots and their decoys, the decoys with another seed."""
        for slot, start in starts.items():
            self._steps[slot], self._done[slot] = 0, True
            for attempt in range(1, ATTEMPTS + 1):
                self._sensed[slot] = self._decoys[slot].reset(start.task, start.seed + attempt * OTHER_SEEDS)
                self._done[slot] = self._decoys[slot].judge(start.task)
                if not self._done[slot]:
                    break
        reports = self._vector.begin(starts)
        return {slot: self._with_decoy(slot, took) for slot, took in reports.items()}

    def run_chunks(self, chunks: Mapping[int, npt.NDArray[np.floating[Any]]]) -> dict[int, Took]:
        """The same actions in both worlds; an episode ends with the first success in either."""
        reports = self._vector.run_chunks(chunks)
        for slot, took in reports.items():
            for action in chunks[slot][: took.steps - self._steps[slot]]:
                self._step(slot, action)
            self._steps[slot] = took.steps
        return {slot: self._with_decoy(slot, took) for slot, took in reports.items()}

    def observation(self, slot: int, instruction: str = "") -> Observation:
        """Pictures of the judged world; the state of the decoy when it is to be swapped."""
        seen = self._vector.observation(slot, instruction)
        decoy = self._sensed[slot].state
        if not self._swap or seen.state is None or decoy is None:
            return seen
        return replace(seen, state=np.broadcast_to(decoy[:, -1:], seen.state.shape).copy())

    def close(self) -> None:
        """Close the decoys; the vector stays open."""
        for decoy in self._decoys:
            decoy.close()

    def _step(self, slot: int, action: npt.NDArray[np.floating[Any]]) -> None:
        sensed, _, _, _, info = self._decoys[slot].step(action)
        self._sensed[slot] = sensed
        self._done[slot] = self._done[slot] or bool(info["success"])

    def _with_decoy(self, slot: int, took: Took) -> Took:
        done = self._done[slot]
        return replace(took, done=took.done or done, held={**took.held, DECOY: done})
