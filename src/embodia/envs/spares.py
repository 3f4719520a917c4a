"""Copies of large arrays into memory that was used before, once nobody holds what lay there.

Fresh memory for a batch of pictures costs more than filling it: the system hands it out page by page, wiped, every
time. The one thing to watch: "nobody holds it" is read off the count of references, views and tensors over the array
included; only a bare address, kept without its array, is not counted.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

_MINE = 3
"""References to a spare array that are ours: the list, the loop, the question."""


class Spares:
    """`copy` like `numpy.copy`; at most `limit` arrays of a shape are kept for another time.

    Who holds the last copies while asking for new ones needs twice as many as are asked for at a time.
    """

    def __init__(self, limit: int = 2) -> None:
        self._limit = limit
        self._kept: dict[tuple[tuple[int, ...], np.dtype[Any]], list[npt.NDArray[Any]]] = {}

    def copy(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The same numbers in memory that nobody else holds."""
        kept = self._kept.setdefault((array.shape, array.dtype), [])
        for spare in kept:
            if sys.getrefcount(spare) == _MINE:
                np.copyto(spare, array)
                return spare
        made = np.array(array, order="C")
        if len(kept) < self._limit:
            kept.append(made)
        return made
