"""LeRobot's Diffusion Policy checkpoint names (0.4 to 0.6, one encoder a camera) as ours.

Its U-Net keeps one condition layer a block and orders the condition by time step; ours keeps one bank for all blocks
and orders it by sense. So the rows are stacked and the columns permuted, and nothing is computed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from embodia.nn.resnet import DEPTHS
from embodia.parts.convert import rename, resnet_names

_ENCODER = re.compile(r"rgb_encoder\.(\d+)\.(.+)")
_TRUNK = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
"""torchvision's children by index, as LeRobot's sequential numbers them."""


def convert_diffusion(
    tensors: Mapping[str, Tensor], *, state_dim: int, history: int, levels: int = 3, depth: int = 18
) -> dict[str, Tensor]:
    """Our state dictionary, without the units. Raises `CheckpointError` on unknown names."""
    inner = {name.removeprefix("diffusion."): tensor for name, tensor in tensors.items()}
    encoder = {name: tensor for name, tensor in inner.items() if name.startswith("rgb_encoder.")}
    net = {name.removeprefix("unet."): tensor for name, tensor in inner.items() if name.startswith("unet.")}
    films = {name: net.pop(name) for name in list(net) if ".cond_encoder." in name}
    renamed = rename(net, _net_rules())
    ours = {f"decoder.net.{name}": tensor for name, tensor in renamed.items()}
    time = renamed["time.2.weight"].shape[0]
    return ours | _encoders(encoder, depth) | _films(films, levels, state_dim, history, time)


def _encoders(tensors: Mapping[str, Tensor], depth: int) -> dict[str, Tensor]:
    ours: dict[str, Tensor] = {}
    cameras = {match[1] for name in tensors if (match := _ENCODER.fullmatch(name))}
    for camera in cameras:
        prefix = f"rgb_encoder.{camera}."
        mine = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
        trunk = {_torchvision(name): t for name, t in mine.items() if name.startswith("backbone.")}
        names = resnet_names(trunk, "", DEPTHS[depth])
        ours |= {f"encoders.image.trunks.{camera}.{names[name]}": tensor for name, tensor in trunk.items()}
        rules = (
            ("backbone.+|pool.pos_grid", ""),
            (r"pool\.nets\.(\w+)", rf"encoders.image.points.{camera}.maps.\1"),
            (r"out\.(\w+)", rf"encoders.image.out.{camera}.\1"),
        )
        ours |= rename(mine, rules)
    return ours


def _torchvision(name: str) -> str:
    _, index, rest = name.split(".", 2)
    return f"{_TRUNK[index]}.{rest}"


def _net_rules() -> list[tuple[str, str]]:
    pair = {"0": "first", "1": "second"}
    rules = [
        (r"diffusion_step_encoder\.1\.(\w+)", r"time.0.\1"),
        (r"diffusion_step_encoder\.3\.(\w+)", r"time.2.\1"),
        (r"final_conv\.0\.block\.(\d)\.(\w+)", r"last.0.\1.\2"),
        (r"final_conv\.1\.(\w+)", r"last.1.\1"),
    ]
    for side in ("down", "up"):
        rules.append((rf"{side}_modules\.(\d)\.2\.(\w+)", rf"{side}.\1.resize.\2"))
        for index, which in pair.items():
            rules += _block_rules(rf"{side}_modules\.(\d)\.{index}", rf"{side}.\1.{which}", groups=1)
    for index, which in pair.items():
        rules += _block_rules(rf"mid_modules\.{index}", f"middle.{which}", groups=0)
    return rules


def _block_rules(theirs: str, mine: str, groups: int) -> list[tuple[str, str]]:
    a, b = groups + 1, groups + 2
    return [
        (rf"{theirs}\.conv1\.block\.(\d)\.(\w+)", rf"{mine}.first.\{a}.\{b}"),
        (rf"{theirs}\.conv2\.block\.(\d)\.(\w+)", rf"{mine}.second.\{a}.\{b}"),
        (rf"{theirs}\.residual_conv\.(\w+)", rf"{mine}.shortcut.\{a}"),
    ]


def _films(tensors: Mapping[str, Tensor], levels: int, state_dim: int, history: int, time: int) -> dict[str, Tensor]:
    order = [f"down_modules.{level}.{i}" for level in range(levels) for i in range(2)]
    order += [f"mid_modules.{i}" for i in range(2)]
    order += [f"up_modules.{level}.{i}" for level in range(levels - 1) for i in range(2)]
    weight = torch.cat([tensors[f"{block}.cond_encoder.1.weight"] for block in order])
    bias = torch.cat([tensors[f"{block}.cond_encoder.1.bias"] for block in order])
    steps = weight[:, time:].unflatten(1, (history, -1))
    by_sense = torch.cat([steps[..., :state_dim].flatten(1), steps[..., state_dim:].flatten(1)], dim=1)
    return {
        "decoder.net.film.bias": bias,
        "decoder.net.film.weight_time": weight[:, :time],
        "decoder.net.film.weight_condition": by_sense,
    }
