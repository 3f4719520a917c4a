"""A small patch searched to change what a policy does, by asking it only: no gradient, so any policy can be attacked.

A grid of colours is mutated cell by cell, and a mutation is kept when it moves the actions on recorded observations
further than before. The one thing to watch: the search sees actions, not failures, so a patch that moves actions much
may still cost little; what it costs is measured by episodes, beside a random patch of the same size and place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from embodia.core.errors import ConfigError
from embodia.core.protocols import Policy, Rng
from embodia.core.seeds import generator
from embodia.core.types import Observation
from embodia.envs.perturb.images import Images, stamp
from embodia.evaluation.redteam.influence import apart, same_numbers


@dataclass(frozen=True, kw_only=True)
class PatchSearch:
    """How a patch is searched: `cells` x `cells` colours, `share` of the picture's height at `place`, `asks` trials."""

    cells: int = 4
    share: float = 0.18
    place: tuple[float, float] = (0.5, 0.5)
    asks: int = 60
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.cells, self.asks) < 1:
            raise ConfigError("a patch has at least one cell and is tried at least once", leaf="cells")


@dataclass(frozen=True, kw_only=True)
class Patch:
    """The patch that was found, the random one it began from, and how far each moves the actions."""

    pattern: Images
    random: Images
    moved: float
    moved_by_random: float


def search_patch(policy: Policy, seen: Observation, rng: Rng, settings: PatchSearch | None = None) -> Patch:
    """The best of `asks` mutations on the batch `seen`; every trial asks the policy once with the same randomness."""
    settings = settings or PatchSearch()
    drawn = generator(settings.seed, "adversarial patch")
    plain, _ = policy.act(seen, None, same_numbers(rng))

    def moves(pattern: Images) -> float:
        shown = stamp(pattern, settings.place, settings.share)(seen)
        return float(apart(plain, policy.act(shown, None, same_numbers(rng))[0]).mean())

    start = drawn.integers(0, 256, (settings.cells, settings.cells, 3), dtype=np.uint8)
    best, found = start, moves(start)
    first = found
    for _ in range(settings.asks):
        tried = _mutated(best, drawn)
        moved = moves(tried)
        if moved > found:
            best, found = tried, moved
    return Patch(pattern=best, random=start, moved=found, moved_by_random=first)


def _mutated(pattern: Images, drawn: np.random.Generator) -> Images:
    """One to four cells in new colours, extremes as often as not."""
    changed = pattern.copy()
    for _ in range(int(drawn.integers(1, 5))):
        row, column = drawn.integers(0, len(pattern), 2)
        extreme = drawn.integers(0, 2, 3) * 255
        changed[row, column] = extreme if drawn.random() < 0.5 else drawn.integers(0, 256, 3)
    return changed
