"""SigLIP's vision tower as a camera trunk (vis.vit): every patch becomes one cell of a feature map.

The tower is transformers' own class with random weights; nothing is downloaded. Pictures of another size or shape are
resized without distortion and padded, as the public models were trained.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from embodia.nn.image import Scaling, fit_square


@dataclass(frozen=True, kw_only=True)
class SiglipConfig:
    """Sizes of the tower; the defaults are So400m/14 at 224 pixels (Zhai et al. 2023, Alabdulmohsin et al. 2023).

    `smooth` averages pixels where pictures are made smaller.
    """

    kind: Literal["siglip"] = "siglip"
    width: int = 1152
    depth: int = 27
    heads: int = 16
    hidden: int = 4304
    patch: int = 14
    pixels: int = 224
    scaling: Scaling = "symmetric"
    smooth: bool = True


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
        self.smooth = config.smooth
        self.channels, self.pixels, self.rows = config.width, config.pixels, config.pixels // config.patch

    def map_size(self, pixels: int) -> int:
        """Rows or columns of the map, whatever the size of the picture."""
        return self.rows

    def forward(self, pictures: Tensor) -> Tensor:
        fitted = fit_square(pictures, self.pixels, "centre", smooth=self.smooth).to(self.tower.dtype)
        tokens = self.tower(pixel_values=fitted).last_hidden_state
        return tokens.transpose(1, 2).reshape(len(tokens), self.channels, self.rows, self.rows)


def siglip_trunks(config: SiglipConfig) -> nn.ModuleList:
    """One tower that all cameras share."""
    return nn.ModuleList([SiglipTrunk(config)])
