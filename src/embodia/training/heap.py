"""Memory of a training process: what a step frees is kept for the next step.

Gradients are allocated anew in every step, and the C library gives large blocks back to the system at once: a step of a
policy with 280 million parameters then spends a sixth of its time on getting zeroed pages. The one thing to watch: the
process keeps its largest size until it ends.
"""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
"""Parameters of mallopt(3) in the GNU C library."""
_NEVER, _PAD_BYTES = 2**31 - 1, 2**26


def keep_heap() -> bool:
    """Tell the GNU C library to keep what is freed; False where there is none (macOS, musl, Windows)."""
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    settings = ((MMAP_MAX, 0), (TRIM_THRESHOLD, _NEVER), (TOP_PAD, _PAD_BYTES))
    return all(library.mallopt(*setting) == 1 for setting in settings)
