"""Folders as the Hugging Face hub holds them: facts in config.json, weights in one safetensors file or several.

Several files have an index that says which tensor lies where. The one thing to watch: the index and the files must
agree in both directions, and a file is only ever looked for inside the folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from embodia.core.errors import CheckpointError, CorruptFileError, MissingFileError
from embodia.io.atomic import write_json
from embodia.io.jsonio import read_json
from embodia.io.tensors import load_tensors, save_tensors
from embodia.weights._lora import merged

CONFIG, MODEL, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
_MISSING: Any = object()
_LARGEST = 5_000_000_000
"""Bytes a file of weights has at most."""


class Fields:
    """A JSON file by dotted field name; every error names the file and the field."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._plain = read_json(file)
        if not isinstance(self._plain, dict):
            raise CheckpointError("is not a table of fields", file=file)

    def get(self, field: str, default: Any = _MISSING) -> Any:
        """The value of `field`. Raises `CheckpointError` when it is missing and has no default."""
        value: Any = self._plain
        for name in field.split("."):
            if not isinstance(value, dict) or name not in value:
                if default is _MISSING:
                    raise CheckpointError("field is missing", file=self.file, leaf=field)
                return default
            value = value[name]
        return value

    def require(self, field: str, *allowed: Any, default: Any = _MISSING) -> None:
        """Raise `CheckpointError` unless a field has one of the values that this library can build."""
        found = self.get(field, default)
        if found not in allowed:
            raise CheckpointError(f"is {found!r}, only {allowed} can be built", file=self.file, leaf=field)


def model_type(folder: Path) -> str:
    """What config.json says the model is, "" where there is no such file or no such word."""
    path = folder / CONFIG
    if not path.is_file():
        return ""
    found = read_json(path)
    return str(found.get("model_type", "")) if isinstance(found, dict) else ""


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of the folder, with the adapter that lies in it.

    Raises `MissingFileError`, `CorruptFileError`, `CheckpointError`.
    """
    index = folder / INDEX
    if not index.is_file():
        return merged(load_tensors(folder / MODEL, framework="torch"), folder)
    places = Fields(index).get("weight_map")
    if not isinstance(places, dict):
        raise CheckpointError("is not a table of files", file=index, leaf="weight_map")
    found: dict[str, Tensor] = {}
    for name in sorted({str(place) for place in places.values()}):
        if Path(name).name != name:
            raise CheckpointError(f"names {name!r}, which is not inside the folder", file=index, leaf="weight_map")
        part = load_tensors(folder / name, framework="torch")
        promised = {tensor for tensor, place in places.items() if place == name}
        for tensor in sorted(promised ^ part.keys()):
            side = "missing in" if tensor in promised else "not in the index but in"
            raise CheckpointError(f"tensor is {side} {name}", file=index, leaf=tensor)
        found |= part
    return merged(found, folder)


def write_weights(folder: Path, tensors: Mapping[str, Tensor], largest: int = _LARGEST) -> None:
    """One file, or several of at most `largest` bytes and their index."""
    groups: list[dict[str, Tensor]] = [{}]
    room = largest
    for name, tensor in tensors.items():
        if tensor.nbytes > room and groups[-1]:
            groups.append({})
            room = largest
        groups[-1][name] = tensor
        room -= tensor.nbytes
    if len(groups) == 1:
        save_tensors(folder / MODEL, groups[0], {"format": "pt"})
        return
    places: dict[str, str] = {}
    for number, group in enumerate(groups, start=1):
        file = f"model-{number:05}-of-{len(groups):05}.safetensors"
        save_tensors(folder / file, group, {"format": "pt"})
        places |= dict.fromkeys(group, file)
    total = sum(tensor.nbytes for tensor in tensors.values())
    write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": places})


def only_file(folder: Path, pattern: str) -> Path | None:
    """The one file of a folder that fits, or None. Raises `CorruptFileError` when several do."""
    found = sorted(folder.glob(pattern))
    if len(found) > 1:
        raise CorruptFileError(f"{len(found)} files fit {pattern!r}, which of them is meant?", file=folder)
    return found[0] if found else None


def shape_of(tensors: Mapping[str, Tensor], name: str, file: Path) -> tuple[int, ...]:
    """The shape of a tensor. Raises `MissingFileError` naming it when it is not there."""
    if name not in tensors:
        raise MissingFileError("tensor is missing in the file", file=file, leaf=name)
    return tuple(tensors[name].shape)


def count(tensors: Mapping[str, Tensor], beginning: str) -> int:
    """How many numbered parts `beginning` has."""
    parts = {name.removeprefix(beginning).split(".")[0] for name in tensors if name.startswith(beginning)}
    return len(parts)
