"""Seeds as a pure function of a root seed and labels, so that nothing depends on the order of calls."""

from __future__ import annotations

import hashlib

import numpy as np


def derive_seed(root: int, *labels: str | int) -> int:
    """A 63-bit seed from `root` and `labels`; equal arguments give the equal seed on every machine."""
    text = "/".join([str(root), *(f"{type(label).__name__}:{label}" for label in labels)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(root: int, *labels: str | int) -> np.random.Generator:
    """A numpy generator seeded by `derive_seed`."""
    return np.random.default_rng(derive_seed(root, *labels))
