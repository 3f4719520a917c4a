"""Frozen dataclasses to JSON and back, strictly: a wrong key or type names its file and leaf.

Only what a configuration needs is understood: dataclasses, str, int, float, bool, None, Literal, tuples, string-keyed
mappings and unions of these. Nothing in the text can name a class: the caller says which dataclass it expects.
"""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from embodia.core.errors import ConfigError, EmbodiaError
from embodia.core.names import nearest

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """Plain dicts, lists and scalars of a dataclass tree."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise ConfigError(f"a {type(value).__name__} cannot be written to JSON")


def from_json(kind: type[T], value: Any, *, file: str | None = None, leaf: str = "") -> T:
    """A `kind` from parsed JSON. Raises `ConfigError` naming the leaf that is missing, unknown or mistyped."""
    return typing.cast(T, _read(kind, value, file, leaf))


def _read(kind: Any, value: Any, file: str | None, leaf: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _read_dataclass(kind, value, file, leaf)
    if origin in (typing.Union, types.UnionType):
        return _read_union(arguments, value, file, leaf)
    if origin is typing.Literal:
        same = any(type(value) is type(one) and value == one for one in arguments)
        return value if same else _fail(f"one of {arguments}", value, file, leaf)
    if origin is tuple and isinstance(value, list):
        return _read_tuple(arguments, value, file, leaf)
    if origin in (dict, Mapping) and isinstance(value, dict):
        return {key: _read(arguments[1], item, file, f"{leaf}.{key}") for key, item in value.items()}
    if kind is float and type(value) is int and abs(value) <= sys.float_info.max:
        return float(value)
    if kind is Any or (isinstance(kind, type) and type(value) is kind):
        return value
    return _fail(getattr(kind, "__name__", str(kind)), value, file, leaf)


def _read_dataclass(kind: Any, value: Any, file: str | None, leaf: str) -> Any:
    if not isinstance(value, dict):
        _fail(kind.__name__, value, file, leaf)
    hints = typing.get_type_hints(kind)
    known = {field.name: field for field in dataclasses.fields(kind)}
    for key in value:
        if key not in known:
            near = nearest(str(key), known)
            raise ConfigError(
                f"unknown key {key!r}",
                file=file,
                leaf=leaf or kind.__name__,
                cure=f"Did you mean {near!r}?" if near else None,
            )
    read = {key: _read(hints[key], item, file, f"{leaf}.{key}".lstrip(".")) for key, item in value.items()}
    try:
        return kind(**read)
    except TypeError as error:
        raise ConfigError(f"{kind.__name__}: {error}", file=file, leaf=leaf or kind.__name__) from error
    except EmbodiaError as error:
        raise type(error)(error.message, file=file, leaf=leaf or error.leaf, cure=error.cure) from error


def _read_union(arguments: tuple[Any, ...], value: Any, file: str | None, leaf: str) -> Any:
    for argument in arguments:
        if argument is type(None) and value is None:
            return None
    errors = []
    for argument in (item for item in arguments if item is not type(None)):
        try:
            return _read(argument, value, file, leaf)
        except ConfigError as error:
            errors.append(error)
    raise errors[0]


def _read_tuple(arguments: tuple[Any, ...], value: list[Any], file: str | None, leaf: str) -> tuple[Any, ...]:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_read(arguments[0], item, file, f"{leaf}[{i}]") for i, item in enumerate(value))
    if len(arguments) != len(value):
        _fail(f"{len(arguments)} values", value, file, leaf)
    pairs = zip(arguments, value, strict=True)
    return tuple(_read(argument, item, file, f"{leaf}[{i}]") for i, (argument, item) in enumerate(pairs))


def _fail(expected: str, value: Any, file: str | None, leaf: str) -> typing.NoReturn:
    raise ConfigError(f"expected {expected}, got {value!r}", file=file, leaf=leaf or "(top)")
