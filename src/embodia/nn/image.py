"""Pictures on their way into a network: uint8 to float, cameras and history stacked into one batch.

A (N H W C) picture viewed as (N C H W) already lies in memory the way "channels last" convolutions want it, so nothing
is copied but the bytes themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from embodia.core.errors import ShapeError

Scaling = Literal["imagenet", "symmetric", "unit"]
Fit = Literal["stretch", "centre", "corner"]
"""How a picture of another shape fills a square: distorted, or black around it, or black above and left of it."""

_SCALES: Mapping[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "symmetric": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}


def scale_pixels(pixels: Tensor, scaling: Scaling) -> Tensor:
    """Channels-first float view of pictures (N H W 3): uint8 0..255, or float 0..1.

    imagenet subtracts that data set's mean and divides by its deviation; symmetric maps to -1..1; unit to 0..1.
    """
    mean, deviation = (torch.tensor(row, device=pixels.device) for row in _SCALES[scaling])
    top = 255.0 if pixels.dtype == torch.uint8 else 1.0
    scaled = torch.addcmul(-mean / deviation, pixels.float(), 1.0 / (top * deviation))
    return scaled.permute(0, 3, 1, 2)


def rescale(pictures: Tensor, scaling: Scaling) -> Tensor:
    """Pictures (N 3 H W) in 0..1, scaled as `scale_pixels` would."""
    mean, deviation = (torch.tensor(row, device=pictures.device)[:, None, None] for row in _SCALES[scaling])
    return (pictures - mean.to(pictures.dtype)) / deviation.to(pictures.dtype)


def pick_cameras(images: Mapping[str, Tensor], cameras: Sequence[str]) -> list[Tensor]:
    """The pictures of `cameras` in order, each (B T H W 3). Raises `ShapeError` naming the camera that is missing."""
    for name in cameras:
        if name not in images:
            raise ShapeError(f"no picture; the observation has {sorted(images)}", leaf=f"images.{name}")
    return [images[name] for name in cameras]


def fit_square(pictures: Tensor, pixels: int, fit: Fit, *, smooth: bool = True, black: float = -1.0) -> Tensor:
    """Pictures (N 3 H W) as (N 3 pixels pixels); `black` is what surrounds them, -1 where they are scaled to -1..1.

    `smooth` averages what is made smaller; public PyTorch policies of the pi family do not.
    """
    height, width = pictures.shape[-2:]
    if (height, width) == (pixels, pixels):
        return pictures
    ratio = max(height, width) / pixels
    size = (pixels, pixels) if fit == "stretch" else (int(height / ratio), int(width / ratio))
    resized = F.interpolate(pictures, size=size, mode="bilinear", antialias=smooth)
    down, right = pixels - size[0], pixels - size[1]
    top, left = (down, right) if fit == "corner" else (down // 2, right // 2)
    return F.pad(resized, (left, right - left, top, down - top), value=black)
