"""Many small arrays copied in one compiled call, by their addresses.

A batch reads a dozen small arrays of each world; one numpy assignment each would cost a third of the drawing and hold
the interpreter's lock. The one thing to watch: addresses are only good while the arrays live, so who holds a table of
them must hold the arrays too (`RasterBatch` holds its worlds).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba.extending import intrinsic
from numba.np.numpy_support import carray

from embodia.core.errors import ConfigError
from embodia.envs.desk.raster.jit import compiled
from embodia.envs.desk.raster.tables import Array

_types: Any = numba.types
_BYTES = _types.CPointer(_types.uint8)


def addresses(target: Array, source: Array) -> tuple[int, int, int]:
    """A row for `copy_bytes`: where to, where from, how many bytes. Raises `ConfigError` for unlike arrays."""
    alike = target.dtype == source.dtype and target.size == source.size
    if not (alike and target.flags.c_contiguous and source.flags.c_contiguous):
        raise ConfigError(f"cannot copy {source.dtype} {source.shape} into {target.dtype} {target.shape}")
    return target.ctypes.data, source.ctypes.data, target.nbytes


def _inttoptr(context: Any, address: Any) -> Any:
    """An address as a pointer that `carray` takes."""

    def build(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], target.get_value_type(signature.return_type))

    return _BYTES(_types.int64), build


_pointer: Any = intrinsic(_inttoptr)


@compiled
def copy_bytes(first: int, last: int, table: npt.NDArray[np.int64]) -> None:
    """Do the copies of worlds first to last - 1; table (W, K, 3) holds rows of `addresses`."""
    for world in range(first, last):
        for row in range(table.shape[1]):
            size = table[world, row, 2]
            target = carray(_pointer(table[world, row, 0]), size)
            source = carray(_pointer(table[world, row, 1]), size)
            for place in range(size):
                target[place] = source[place]
