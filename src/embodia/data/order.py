"""The order of samples as a pure function of (seed, epoch, index): nothing is shuffled, nothing has to be remembered.

Built on a counter-based hash written out here, so that the order is the same on every machine, rank and library version
and can be computed from any index on. Watch out: changing the hash changes every run; a golden test guards it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embodia.core.errors import ConfigError
from embodia.core.seeds import derive_seed

Ids = NDArray[np.int64]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def hashed(key: int, counters: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A 64-bit hash of (key, counter) for each counter (SplitMix64: Steele, Lea, Flood 2014)."""
    with np.errstate(over="ignore"):
        value = (counters + np.uint64(1)) * _GOLDEN + np.uint64(key)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def sample_ids(seed: int, epoch: int, size: int) -> Ids:
    """A permutation of 0..size-1 for this epoch. Raises `ConfigError` for an empty set."""
    if size < 1:
        raise ConfigError("an epoch needs at least one sample", leaf="size")
    keys = hashed(derive_seed(seed, "order", epoch), np.arange(size, dtype=np.uint64))
    return np.argsort(keys, kind="stable")


def interleave(seed: int, epoch: int, counts: tuple[int, ...]) -> Ids:
    """Which of several sources each of sum(counts) samples comes from; source k comes exactly counts[k] times."""
    sources = np.repeat(np.arange(len(counts)), counts)
    return sources[sample_ids(derive_seed(seed, "mixture"), epoch, len(sources))]


def choices(seed: int, epoch: int, indices: Ids) -> NDArray[np.uint64]:
    """A free choice (a large number, to be taken modulo) for each index of an epoch, for example of a paraphrase."""
    return hashed(derive_seed(seed, "choice", epoch), indices.astype(np.uint64))


def split(seed: int, groups: tuple[str, ...], fraction: float) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Episode numbers (kept, held out): `fraction` of each group, at least one where a group has two or more.

    `groups` names the group (the task) of each episode; an episode's place does not depend on other groups, nor on
    episodes recorded later in other groups. Raises `ConfigError` unless 0 <= fraction < 1.
    """
    if not 0 <= fraction < 1:
        raise ConfigError(f"held-out fraction {fraction} must be in [0, 1)", leaf="fraction")
    held: list[int] = []
    for group in sorted(set(groups)):
        members = [number for number, name in enumerate(groups) if name == group]
        count = min(len(members) - 1, max(1, round(fraction * len(members)))) if fraction else 0
        order = np.argsort(hashed(derive_seed(seed, "split", group), np.arange(len(members), dtype=np.uint64)))
        held += [members[place] for place in order[:count]]
    return tuple(sorted(set(range(len(groups))) - set(held))), tuple(sorted(held))
