"""Tensors out of torch's own files (.pt, .bin), for weights that others publish in no better format.

Only what torch's restricted reader knows is read: tensors, numbers, text, and dictionaries of them; nothing is called.
The one thing to watch: we never write this format.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from embodia.core.errors import CorruptFileError, MissingFileError


def load_torch_file(path: str | Path) -> dict[str, Any]:
    """All tensors of a file on the CPU, dictionaries inside dictionaries with dotted names.

    Raises `MissingFileError`, and `CorruptFileError` for a file that is damaged, holds anything that would have to be
    executed, or holds something else than tensors.
    """
    import torch

    if not Path(path).is_file():
        raise MissingFileError("file does not exist", file=path)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CorruptFileError(f"is not a file of tensors alone: {str(error)[:200]}", file=path) from error
    return dict(_tensors(found, "", path))


def _tensors(value: Any, name: str, path: str | Path) -> Iterator[tuple[str, Any]]:
    import torch

    if isinstance(value, torch.Tensor):
        yield name, value.detach()
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _tensors(inner, f"{name}.{key}" if name else str(key), path)
    else:
        raise CorruptFileError(f"holds a {type(value).__name__}, not a tensor", file=path, leaf=name)
