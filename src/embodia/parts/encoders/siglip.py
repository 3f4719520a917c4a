"""SigLIP's vision tower as a camera trunk (vis.vit): every patch becomes one cell of a feature map.

The tower is transformers' own class with random weights; nothing is downloaded. Pictures of another size or shape are
resized without distortion and padded, as the public models were trained.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from embodia.nn.image import Scaling


@dataclass(frozen=True, kw_only=True)
class SiglipConfig:
    """Sizes of the tower; the defaults are So400m/14 at 224 pixels (Zhai et al. 2023, Alabdulmohsin et al. 2023)."""

    kind: Literal["siglip"] = "siglip"
    width: int = 1152
    depth: int = 27
    heads: int = 16
    hidden: int = 4304
    patch: int = 14
    pixels: int = 224
    scaling: Scaling = "symmetric"


class SiglipTrunk(nn.Module):
    """Scaled pictures (N 3 H W) to a feature map (N width rows columns)."""

    def __init__(self, config: SiglipConfig) -> None:
        super().__init__()
        from transformers import SiglipVisionConfig, SiglipVisionModel

        sizes = SiglipVisionConfig(
            hidden_size=config.width,
            num_hidden_layers=config.depth,
            num_attention_heads=config.heads,
            intermediate_size=config.hidden,
            patch_size=config.patch,
            image_size=config.pixels,
            vision_use_head=False,
        )
        self.tower = SiglipVisionModel(sizes)
        self.channels, self.pixels, self.rows = config.width, config.pixels, config.pixels // config.patch

    def map_size(self, pixels: int) -> int:
        """Rows or columns of the map, whatever the size of the picture."""
        return self.rows

    def forward(self, pictures: Tensor) -> Tensor:
        fitted = resize_with_padding(pictures, self.pixels).to(self.tower.dtype)
        tokens = self.tower(pixel_values=fitted).last_hidden_state
        return tokens.transpose(1, 2).reshape(len(tokens), self.channels, self.rows, self.rows)


def resize_with_padding(pictures: Tensor, pixels: int) -> Tensor:
    """Scaled pictures (N 3 H W) as (N 3 pixels pixels): the longer side fits, the rest is black (-1), centred."""
    height, width = pictures.shape[-2:]
    if (height, width) == (pixels, pixels):
        return pictures
    ratio = pixels / max(height, width)
    size = (round(height * ratio), round(width * ratio))
    resized = F.interpolate(pictures, size=size, mode="bilinear", antialias=True)
    top, left = (pixels - size[0]) // 2, (pixels - size[1]) // 2
    return F.pad(resized, (left, pixels - size[1] - left, top, pixels - size[0] - top), value=-1.0)


def siglip_trunks(config: SiglipConfig) -> nn.ModuleList:
    """One tower that all cameras share."""
    return nn.ModuleList([SiglipTrunk(config)])
