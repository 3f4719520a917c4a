"""From the features of an eye to the width of a language model (fuse.projector).

A pixel shuffle folds neighbouring cells into channels first: a quarter of the tokens, nothing lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class ProjectorConfig:
    """One of the projectors that public models use.

    kind     "linear"; "mlp": two layers of the model's width (LLaVA); "fused": three, the first four times as wide as
             the features (Prismatic); "none": features have the width already
    shuffle  rows and columns of cells folded into one token of shuffle^2 times the channels (pixel shuffle)
    norm     a layer norm before the layers (InternVL)
    tanh     GELU's approximation between the layers (RDT)
    """

    kind: Literal["linear", "mlp", "fused", "none"] = "linear"
    shuffle: int = 1
    norm: bool = False
    bias: bool = True
    tanh: bool = False


def projector(config: ProjectorConfig, channels: int, width: int) -> nn.Module:
    """Layers from features, folded already, of `channels` to tokens of `width`."""
    if config.kind == "none":
        return nn.Identity()
    if config.kind == "linear" and not config.norm:
        return nn.Linear(channels, width, bias=config.bias)
    sizes = {"linear": (width,), "mlp": (width, width), "fused": (4 * channels, width, width)}[config.kind]
    layers: list[nn.Module] = [nn.LayerNorm(channels)] if config.norm else []
    for index, (before, after) in enumerate(zip((channels, *sizes), sizes, strict=False)):
        layers += [nn.GELU(approximate="tanh" if config.tanh else "none")] if index else []
        layers.append(nn.Linear(before, after, bias=config.bias))
    return nn.Sequential(*layers)


def fold(features: Tensor, shuffle: int) -> Tensor:
    """(N C h w) to (N C * s^2, h / s, w / s); an uneven rest is cut at the right and at the bottom."""
    if shuffle == 1:
        return features
    rows, columns = (size // shuffle * shuffle for size in features.shape[-2:])
    return F.pixel_unshuffle(features[..., :rows, :columns], shuffle)
