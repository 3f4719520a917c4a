"""Weight-name conversion from public checkpoint layouts: names only, no mathematics."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from torch import Tensor

from embodia.core.errors import CheckpointError

Rules = Sequence[tuple[str, str]]
"""Regular expression of a foreign name (whole), and our name with its groups; an empty name drops the tensor."""


def rename(tensors: Mapping[str, Tensor], rules: Rules) -> dict[str, Tensor]:
    """Every tensor under our name, by the first rule that fits. Raises `CheckpointError` for a name no rule knows."""
    compiled = [(re.compile(pattern), replacement) for pattern, replacement in rules]
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        found = next(((m, to) for regex, to in compiled if (m := regex.fullmatch(name))), None)
        if found is None:
            raise CheckpointError("no rule for this tensor", leaf=name)
        match, target = found
        if target:
            renamed[match.expand(target)] = tensor
    return renamed


def resnet_names(tensors: Mapping[str, Tensor], prefix: str, blocks: Sequence[int]) -> dict[str, str]:
    """torchvision's ResNet names below `prefix` as ours; `blocks` a stage (2, 2, 2, 2 for depth 18)."""
    starts = [sum(blocks[:stage]) for stage in range(len(blocks))]
    known = {"conv1": "first.conv", "bn1": "first.norm", "conv2": "second.conv", "bn2": "second.norm"}
    known |= {"downsample.0": "shortcut.conv", "downsample.1": "shortcut.norm"}
    names: dict[str, str] = {}
    for name in tensors:
        inner = name.removeprefix(prefix)
        if match := re.fullmatch(r"layer(\d)\.(\d+)\.(.+)\.(\w+)", inner):
            stage, index, part, leaf = match.groups()
            names[name] = f"blocks.{starts[int(stage) - 1] + int(index)}.{known[part]}.{leaf}"
        elif match := re.fullmatch(r"(conv1|bn1)\.(\w+)", inner):
            names[name] = f"stem.{'conv' if match[1] == 'conv1' else 'norm'}.{match[2]}"
    return names
