"""A vector that remembers: what was done in each episode and, for some of them, what was seen.

The audit needs the actions to find replayed demonstrations, and the pictures to show a policy those of another episode.
The one thing to watch: pictures are kept for the first `keep` episodes only, because they are large.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from embodia.core.types import Observation
from embodia.envs.protocol import Split
from embodia.envs.rollout import Vector
from embodia.envs.slot import Start, Took

Actions = npt.NDArray[np.float32]


@dataclass
class Log:
    """One episode: the chunks that were carried out, and what the policy saw before each."""

    task: str
    seed: int
    chunks: list[Actions] = field(default_factory=list)
    seen: list[Observation] = field(default_factory=list)

    @property
    def actions(self) -> Actions:
        """(N A), everything that was carried out."""
        return np.concatenate(self.chunks) if self.chunks else np.zeros((0, 0), np.float32)


class Watching:
    """A vector with a memory; behaves like the one inside it."""

    def __init__(self, vector: Vector, keep: int) -> None:
        self._vector, self._keep = vector, keep
        self.slots, self.contract = vector.slots, vector.contract
        self.logs: list[Log] = []
        self._open: dict[int, tuple[Log, int]] = {}

    @property
    def instructions(self) -> Callable[[str, Split], tuple[str, ...]]:
        """The sentences of a task."""
        return self._vector.instructions

    def begin(self, starts: Mapping[int, Start]) -> dict[int, Took]:
        """Reset these slots and open a log for each."""
        for slot, start in sorted(starts.items()):
            log = Log(task=start.task, seed=start.seed)
            self.logs.append(log)
            self._open[slot] = (log, 0)
        return self._vector.begin(starts)

    def run_chunks(self, chunks: Mapping[int, npt.NDArray[np.floating[Any]]]) -> dict[int, Took]:
        """Run, and note the actions that were really carried out."""
        reports = self._vector.run_chunks(chunks)
        for slot, took in reports.items():
            log, before = self._open[slot]
            log.chunks.append(np.asarray(chunks[slot], np.float32)[: took.steps - before])
            self._open[slot] = (log, took.steps)
        return reports

    def observation(self, slot: int, instruction: str = "") -> Observation:
        """What the slot saw, noted as long as there is room."""
        seen = self._vector.observation(slot, instruction)
        log, _ = self._open[slot]
        if self.logs.index(log) < self._keep:
            log.seen.append(seen)
        return seen
