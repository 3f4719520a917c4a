"""Low-rank updates of linear layers, LoRA: a frozen matrix, and beside it a narrow pair that learns.

Title: LoRA: Low-Rank Adaptation of Large Language Models
Year: 2021
Source: arXiv 2106.09685

Section 4.1: W x + alpha / rank * B A x, A random, B zero, so that training begins with the layer as it was.
The one thing to watch: `weight` of such a layer is the sum, computed at every look, for code that reads weights instead
of calling layers; calling it never computes the sum and spends no gradient on the frozen matrix.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from embodia.core.errors import ConfigError


class LowRankLinear(nn.Module):
    """(... in) -> (... out), a linear layer whose own numbers are frozen, with `down` (rank in) and `up` (out rank)."""

    def __init__(self, layer: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.in_features, self.out_features, self.scale = layer.in_features, layer.out_features, alpha / rank
        self.base, self.bias = layer.weight.requires_grad_(False), layer.bias
        if self.bias is not None:
            self.bias.requires_grad_(False)
        self.down = nn.Parameter(layer.weight.new_empty(rank, layer.in_features))
        self.up = nn.Parameter(layer.weight.new_zeros(layer.out_features, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))
        self.train(layer.training)

    @property
    def weight(self) -> Tensor:
        """The matrix (out in) that the layer amounts to."""
        return self.base + self.scale * (self.up @ self.down)

    def forward(self, x: Tensor) -> Tensor:
        """The frozen layer and the update, added."""
        return F.linear(x, self.base, self.bias) + self.scale * F.linear(F.linear(x, self.down), self.up)


def adapt(model: nn.Module, prefixes: Sequence[str], rank: int, alpha: float, but: Sequence[str] = ()) -> list[str]:
    """Freeze everything whose name begins with one of `prefixes` and give its linear layers low-rank updates.

    Names that begin with one of `but` are left alone. Returns the names of those layers. A layer that shares its matrix
    with another module stays whole and frozen, and so does one narrower than `rank`. Raises `ConfigError` naming a
    prefix under which no layer can be adapted.
    """
    shared = Counter(id(item) for module in model.modules() for item in module.parameters(recurse=False))
    plain = {
        name: module
        for name, module in model.named_modules(remove_duplicate=False)
        if type(module) is nn.Linear and shared[id(module.weight)] == 1 and rank <= min(module.weight.shape)
        if not name.startswith(tuple(but))
    }
    for prefix in prefixes:
        if not any(name.startswith(prefix) for name in plain):
            raise ConfigError(f"no linear layer of width {rank} or more begins with {prefix!r}", leaf="lora")
    chosen = {name: layer for name, layer in plain.items() if name.startswith(tuple(prefixes))}
    freeze(model, prefixes, but)
    _replace(model, {id(layer): LowRankLinear(layer, rank, alpha) for layer in chosen.values()})
    return list(chosen)


def merge(model: nn.Module) -> None:
    """Turn every layer with a low-rank update into the plain linear layer that it amounts to."""
    _replace(model, {id(part): _plain(part) for part in model.modules() if isinstance(part, LowRankLinear)})


def freeze(model: nn.Module, prefixes: Sequence[str], but: Sequence[str] = ()) -> None:
    """Let no parameter learn whose name begins with one of `prefixes` and with none of `but`.

    Raises `ConfigError` for a prefix that fits none.
    """
    for prefix in prefixes:
        every = model.named_parameters(remove_duplicate=False)
        found = [(name, item) for name, item in every if name.startswith(prefix)]
        if not found:
            raise ConfigError(f"no parameter begins with {prefix!r}", leaf="frozen")
        for name, item in found:
            if not name.startswith(tuple(but)):
                item.requires_grad_(False)


def _replace(model: nn.Module, others: Mapping[int, nn.Module]) -> None:
    """Put another module into the place, or places, of each whose identity is a key."""
    for parent in list(model.modules()):
        for leaf, child in parent._modules.items():
            if id(child) in others:
                setattr(parent, leaf, others[id(child)])


@torch.no_grad()
def _plain(layer: LowRankLinear) -> nn.Linear:
    whole = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
    whole.weight = nn.Parameter(layer.weight.detach())
    whole.bias = layer.bias
    return whole.train(layer.training)
