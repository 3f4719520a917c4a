"""Named arrays on disk in the safetensors format: weights, optimizer and random state, never executable.

torch is imported only when a tensor comes in or is asked for. Watch out: two tensors that share memory (tied weights)
are written twice; name one of them if that matters.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors import SafetensorError, safe_open

from embodia.core.errors import CorruptFileError, MissingFileError, ShapeError
from embodia.io.atomic import replace_file

Framework = Literal["numpy", "torch"]


def save_tensors(path: str | Path, tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> None:
    """Write numpy arrays or torch tensors (any device, any layout) under their names, atomically.

    Raises `ShapeError` for a value that is neither or a dtype the format does not know, `StorageError` for the disk.
    """
    facts = dict(metadata or {})
    for name, value in tensors.items():
        if not _is_torch(value) and np.asarray(value).dtype.kind not in "biuf":
            raise ShapeError(f"a {type(value).__name__} of this dtype is not a tensor", file=path, leaf=name)
    with replace_file(path) as temporary:
        try:
            if any(_is_torch(value) for value in tensors.values()):
                _save_torch(temporary, tensors, facts)
            else:
                _save_numpy(temporary, tensors, facts)
        except SafetensorError as error:
            raise OSError(str(error)) from error
        except (KeyError, TypeError, ValueError) as error:
            raise ShapeError(f"cannot be stored as a tensor: {error}", file=path) from error


def load_tensors(path: str | Path, framework: Framework = "numpy") -> dict[str, Any]:
    """All tensors of a file, on the CPU. Raises `MissingFileError` or `CorruptFileError`."""
    with _opened(path, framework) as file:
        try:
            return {name: file.get_tensor(name) for name in sorted(file.keys())}
        except (SafetensorError, TypeError, ValueError) as error:
            raise CorruptFileError(f"a tensor cannot be read: {error}", file=path) from error


def tensor_names(path: str | Path) -> tuple[str, ...]:
    """The names in a file, nothing else is read. Raises `MissingFileError` or `CorruptFileError`."""
    with _opened(path, "numpy") as file:
        return tuple(sorted(file.keys()))


def load_metadata(path: str | Path) -> dict[str, str]:
    """The text facts stored with the tensors. Raises `MissingFileError` or `CorruptFileError`."""
    with _opened(path, "numpy") as file:
        return dict(file.metadata() or {})


def _opened(path: str | Path, framework: Framework) -> Any:
    try:
        return safe_open(str(path), framework="pt" if framework == "torch" else "np")
    except FileNotFoundError as error:
        raise MissingFileError("file does not exist", file=path) from error
    except (SafetensorError, OSError) as error:
        raise CorruptFileError(f"is not a safetensors file: {error}", file=path) from error


def _is_torch(value: Any) -> bool:
    return type(value).__module__.split(".")[0] == "torch"


def _save_numpy(path: Path, tensors: Mapping[str, Any], metadata: dict[str, str]) -> None:
    from safetensors.numpy import save_file

    arrays = {name: np.ascontiguousarray(value).reshape(np.shape(value)) for name, value in tensors.items()}
    save_file(arrays, str(path), metadata=metadata)


def _save_torch(path: Path, tensors: Mapping[str, Any], metadata: dict[str, str]) -> None:
    import torch
    from safetensors.torch import save_file

    seen: set[int] = set()
    plain = {}
    for name, value in tensors.items():
        tensor = torch.as_tensor(value).detach().cpu().contiguous()
        storage = tensor.untyped_storage()
        if tensor.numel() and (storage.data_ptr() in seen or storage.nbytes() != tensor.nbytes):
            tensor = tensor.clone()
        seen.add(tensor.untyped_storage().data_ptr())
        plain[name] = tensor
    save_file(plain, str(path), metadata=metadata)
