"""Random shifts and colours on training pictures, whole batches at a time, deterministic by the generator.

The shift (pad by repeating the edge, crop at a random place: Yarats et al. 2021, arXiv:2004.13649) differs by sample
and camera and is the same at all moments of a sample, so motion stays motion. Watch out: a shift moves what is seen
but not the action; keep it small against the precision that a task needs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from embodia.core.errors import ConfigError, ShapeError
from embodia.core.types import Batch

_GREY = (0.299, 0.587, 0.114)


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """How far pictures may change.

    `shift` is the largest shift as a share of the picture's height; `brightness` the largest offset as a share of full
    scale; `contrast` and `saturation` the largest relative change. 0 leaves that property alone.
    """

    shift: float = 0.04
    brightness: float = 0.1
    contrast: float = 0.2
    saturation: float = 0.2

    def __post_init__(self) -> None:
        for name in ("shift", "brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} must be in [0, 1), got {getattr(self, name)}", leaf=name)


class Augment:
    """(batch with torch tensors, generator on their device) -> the batch with changed pictures, still uint8."""

    def __init__(self, config: AugmentConfig | None = None) -> None:
        self.config = config or AugmentConfig()

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Pictures uint8 (B T H W 3) in, the same out; equal generator states give equal pictures.

        Raises `ShapeError` for pictures of another kind.
        """
        images = dict(batch.observation.images)
        for camera in sorted(images):
            if images[camera].dtype != torch.uint8 or images[camera].ndim != 5:
                found = f"{images[camera].dtype} {tuple(images[camera].shape)}"
                raise ShapeError(f"expected uint8 (B T H W 3), got {found}", leaf=f"images.{camera}")
            moved = random_shift(images[camera], self.config.shift, generator)
            images[camera] = jitter(moved, self.config, generator)
        return replace(batch, observation=replace(batch.observation, images=images))


def random_shift(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Shift each sample (B T H W C) by up to round(share * H) pixels each way; uncovered edges repeat."""
    batch, moments, height, width, channels = images.shape
    reach = round(share * height)
    if reach == 0 or not images.numel():
        return images
    device = images.device
    offsets = torch.randint(-reach, reach + 1, (2, batch, 1), generator=generator, device=device)
    rows = (torch.arange(height, device=device) + offsets[0]).clamp_(0, height - 1)
    columns = (torch.arange(width, device=device) + offsets[1]).clamp_(0, width - 1)
    pictures = torch.arange(batch * moments, device=device).view(batch, moments, 1, 1)
    pixels = (pictures * height + rows[:, None, :, None]) * width + columns[:, None, None, :]
    return images.reshape(-1, channels).index_select(0, pixels.view(-1)).view(images.shape)


def jitter(images: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Change brightness, contrast and saturation of each sample (B T H W 3) of uint8."""
    if not (config.brightness or config.contrast or config.saturation) or not images.numel():
        return images
    batch = len(images)
    draws = torch.rand((3, batch, 1, 1), generator=generator, device=images.device) * 2 - 1
    contrast = 1 + config.contrast * draws[0]
    offset = 255 * config.brightness * draws[1] + 127.5 * (1 - contrast)
    pixels = images.reshape(batch, -1, 3).float()
    if config.saturation:
        saturation = 1 + config.saturation * draws[2]
        red, green, blue = pixels.unbind(-1)
        grey = (red * _GREY[0]).add_(green, alpha=_GREY[1]).add_(blue, alpha=_GREY[2])
        added = (grey * ((1 - saturation) * contrast)[..., 0]).add_(offset[..., 0])
        pixels = pixels.mul_(saturation * contrast).add_(added[..., None])
    else:
        pixels = pixels.mul_(contrast).add_(offset)
    return pixels.round_().clamp_(0, 255).to(torch.uint8).view(images.shape)
