"""A module that is used here and owned elsewhere.

A language model's word table serves the text encoder, the action decoder and the reasoning; were it registered in all
three, it would be saved, counted and optimised three times. The one thing to watch: a holder neither moves nor trains
what it holds, so the owner must be part of the same policy.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


class Shared(Generic[M]):
    """Calls and attributes go to the module; it is not registered again. Copies and pickles share the same module."""

    def __init__(self, module: M) -> None:
        self.module = module

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.module(*arguments, **named)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "module":
            raise AttributeError(name)
        return getattr(self.module, name)


def device_of(module: nn.Module | Shared[Any]) -> torch.device:
    """Where the parameters of a module, held or owned, live."""
    inner = module.module if isinstance(module, Shared) else module
    return next(inner.parameters()).device
