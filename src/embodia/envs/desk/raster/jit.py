"""One way to compile: without the interpreter's lock, cached on disk, strict enough to repeat to the byte.

The one thing to watch: sums are never re-ordered (no `reassoc`), so a picture does not depend on the batch or the
thread that drew it; products and sums may be fused, so two kinds of processor may differ in the last bit of a depth.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])

_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"nnan", "ninf", "nsz", "contract"},
}


def compiled(function: Function) -> Function:
    """Compile at the first call; the result is kept in `__pycache__`, else in the user's cache, else in memory."""
    try:
        return numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:
        return numba.njit(**_OPTIONS)(function)


def inlined(function: Function) -> Function:
    """Compile as a part of the functions that call it."""
    return numba.njit(forceinline=True, **_OPTIONS)(function)
