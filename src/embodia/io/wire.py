"""Messages of a network: msgpack that carries numpy arrays, the way the openpi protocol writes them.

Foreign bytes end in a plain value (None, bool, number, text, list, string-keyed dict, array) or in one `WireError`:
size, count, depth and dtype are bounded, and nothing in a message can name code. The one thing to watch: arrays that
come out share the message's memory and are read-only.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from embodia.core.errors import EmbodiaError, MissingExtraError, WireError

DTYPES = ("|b1", "|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f2", "<f4", "<f8")
"""What an array may hold; object, text, complex, structured and byte-swapped arrays are refused both ways."""
MAX_DIMENSIONS = 8
_ARRAY, _SCALAR, _IMAGE = "__ndarray__", "__npgeneric__", "__image__"
_MODES = {"L": 1, "RGB": 3, "RGBA": 4}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of one message: its bytes, its values in all lists and maps together, nesting, bytes of one text."""

    bytes: int = 16 * 2**20
    items: int = 65_536
    depth: int = 16
    text: int = 65_536


DEFAULT = Limits()


def pack(value: Any, *, limits: Limits = DEFAULT, text_keys: bool = False) -> bytes:
    """Bytes of a value; arrays carry bytes keys as openpi's do, or text keys (`text_keys`) as vla-eval's do.

    Raises `WireError` for a dtype outside `DTYPES`, a type that is no plain value, or a message over the limit.
    """
    msgpack = _msgpack()
    try:
        data = bytes(msgpack.packb(value, default=lambda item: _encode(item, text_keys)))
    except EmbodiaError:
        raise
    except Exception as error:
        raise WireError(f"cannot be packed: {error}") from error
    if len(data) > limits.bytes:
        raise WireError(f"a message of {len(data)} bytes, at most {limits.bytes} are allowed")
    return data


def unpack(data: bytes, *, limits: Limits = DEFAULT) -> Any:
    """The value of a message, with arrays in either way of writing. Raises `WireError` for anything else."""
    msgpack = _msgpack()
    if not isinstance(data, bytes):
        raise WireError(f"a message is bytes, got {type(data).__name__}")
    if len(data) > limits.bytes:
        raise WireError(f"a message of {len(data)} bytes, at most {limits.bytes} are allowed")
    reader = _Reader(limits)
    try:
        value = msgpack.unpackb(
            data,
            object_hook=reader.map,
            list_hook=reader.list,
            max_str_len=limits.text,
            max_array_len=limits.items,
            max_map_len=limits.items,
            max_ext_len=0,
        )
        _require_plain(value, limits.depth)
    except EmbodiaError:
        raise
    except Exception as error:
        raise WireError(f"not a message: {type(error).__name__}: {error}") from error
    return value


class _Reader:
    """Hooks of the parser: they count values as these appear, so that memory stays bounded, and make arrays."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._left = limits.items

    def list(self, found: list[Any]) -> list[Any]:
        self._spend(len(found))
        return found

    def map(self, found: dict[Any, Any]) -> Any:
        self._spend(len(found))
        for marker, read in ((_ARRAY, _array), (_SCALAR, _scalar)):
            if marker.encode() in found:
                return read({_text(key): item for key, item in found.items()})
        if _ARRAY in found:
            return _array(found)
        return _image(found, self._limits.bytes) if _IMAGE in found else found

    def _spend(self, count: int) -> None:
        self._left -= count + 1
        if self._left < 0:
            raise WireError(f"more than {self._limits.items} values")


def _encode(item: Any, text_keys: bool) -> Any:
    if not isinstance(item, np.ndarray | np.generic):
        raise WireError(f"a {type(item).__name__} is no plain value")
    if item.dtype.str not in DTYPES:
        raise WireError(f"dtype {item.dtype.str!r} is not allowed", cure=f"Allowed: {', '.join(DTYPES)}.")
    if isinstance(item, np.generic):
        return _keys({_SCALAR: True, "data": item.item(), "dtype": item.dtype.str}, text_keys)
    facts = {_ARRAY: True, "data": item.tobytes(), "dtype": item.dtype.str, "shape": list(item.shape)}
    return _keys(facts, text_keys)


def _keys(facts: Mapping[str, Any], text_keys: bool) -> dict[Any, Any]:
    return dict(facts) if text_keys else {key.encode(): item for key, item in facts.items()}


def _text(key: Any) -> str:
    return key.decode() if isinstance(key, bytes) else str(key)


def _dtype(facts: Mapping[str, Any]) -> np.dtype[Any]:
    name = facts.get("dtype")
    if name not in DTYPES:
        raise WireError(f"dtype {str(name)[:20]!r} is not allowed", cure=f"Allowed: {', '.join(DTYPES)}.")
    return np.dtype(name)


def _array(facts: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    dtype, data, shape = _dtype(facts), facts.get("data"), _shape(facts.get("shape"))
    if not isinstance(data, bytes) or math.prod(shape) * dtype.itemsize != len(data):
        size = len(data) if isinstance(data, bytes) else type(data).__name__
        raise WireError(f"an array of shape {shape} and dtype {dtype.str} does not have {size} bytes")
    return np.ndarray(shape, dtype, buffer=data)


def _shape(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS:
        raise WireError("an array's shape is a short list")
    if any(type(size) is not int or not 0 <= size < 2**31 for size in shape):
        raise WireError("an array's shape holds counts")
    return tuple(shape)


def _scalar(facts: Mapping[str, Any]) -> Any:
    dtype, value = _dtype(facts), facts.get("data")
    if dtype.kind == "b" and isinstance(value, bool):
        return np.bool_(value)
    if dtype.kind == "f" and isinstance(value, int | float):
        with np.errstate(over="ignore"):
            return dtype.type(value)
    if dtype.kind in "iu" and type(value) is int and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max:
        return dtype.type(value)
    raise WireError(f"{str(value)[:20]!r} is no number of dtype {dtype.str}")


def _image(facts: Mapping[str, Any], most: int) -> np.ndarray[Any, Any]:
    if facts.get("format") == "raw":
        return _array(facts)
    from PIL import Image

    data, shape = facts.get("data"), _shape(facts.get("shape"))
    if not isinstance(data, bytes):
        raise WireError("an image's data is bytes")
    with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as picture:
        channels = _MODES.get(picture.mode, 0)
        if picture.width * picture.height * channels > most or not channels:
            raise WireError(f"an image of {picture.width} x {picture.height} in mode {picture.mode} is not allowed")
        found = np.asarray(picture)
    if found.size != math.prod(shape) or found.shape[:2] != shape[:2]:
        raise WireError(f"an image of shape {found.shape} was announced as {shape}")
    return found.reshape(shape)


def _require_plain(value: Any, depth: int) -> None:
    """Raise `WireError` for what is nested too deeply, for keys that are no text and for values that are not plain."""
    if depth < 0:
        raise WireError("nested too deeply")
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise WireError("the keys of a map are text")
        value = value.values()
    elif not isinstance(value, list):
        if value is not None and not isinstance(value, bool | int | float | str | bytes | np.ndarray | np.generic):
            raise WireError(f"a {type(value).__name__} is no plain value")
        return
    for item in value:
        _require_plain(item, depth - 1)


def _msgpack() -> ModuleType:
    try:
        import msgpack
    except ImportError as error:
        raise MissingExtraError("msgpack is not installed", cure="pip install -e '.[serve]'") from error
    return msgpack
