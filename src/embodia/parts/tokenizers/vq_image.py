"""Pictures as integers (vis.vq_image): a small convolutional autoencoder whose cells are rounded to a codebook.

van den Oord et al. 2017; VQ-GAN (Esser et al. 2021) adds a perceptual and an adversarial loss, whose networks we do
not ship. Codes have length one, as in ViT-VQGAN (Yu et al. 2022), so that none is too far away to be used. It learns
beside the policy that speaks its codes, or before it. The one thing to watch: while it learns, codes change their
meaning; what predicts them aims at a moving target, though a slowing one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.errors import ShapeError
from embodia.core.protocols import Context
from embodia.core.specs import ObservationSpec
from embodia.core.types import Batch
from embodia.nn.image import pick_cameras, scale_pixels


@dataclass(frozen=True, kw_only=True)
class VqConfig:
    """`widths` after each halving of the picture; `codes` in the book, compared in `code` dimensions.

    `variety` weighs how evenly the batch uses the book (the entropy term of MAGVIT-v2, Yu et al. 2023), without which
    a few codes take everything.
    """

    widths: tuple[int, ...] = (32, 64, 96, 128)
    codes: int = 256
    code: int = 16
    commitment: float = 0.25
    variety: float = 0.1


class VqImage(nn.Module):
    """Scaled pictures (N 3 H W) in -1..1 to ids (N h*w) and back; h = H / 2^len(widths)."""

    def __init__(self, config: VqConfig) -> None:
        super().__init__()
        self.config = config
        down = [
            layer
            for a, b in pairwise((3, *config.widths))
            for layer in (nn.Conv2d(a, b, 4, 2, 1), nn.GroupNorm(max(1, b // 16), b), nn.SiLU())
        ]
        up = [
            layer
            for a, b in pairwise((*reversed(config.widths), config.widths[0]))
            for layer in (nn.ConvTranspose2d(a, b, 4, 2, 1), nn.GroupNorm(max(1, b // 16), b), nn.SiLU())
        ]
        self.down = nn.Sequential(*down, nn.Conv2d(config.widths[-1], config.code, 1))
        self.up = nn.Sequential(nn.Conv2d(config.code, config.widths[-1], 1), *up)
        self.out = nn.Conv2d(config.widths[0], 3, 3, 1, 1)
        self.book = nn.Embedding(config.codes, config.code)

    def encode(self, pictures: Tensor) -> Tensor:
        """Ids int64 (N h*w), row by row."""
        return self._nearest(self._cells(pictures))

    def decode(self, ids: Tensor, rows: int) -> Tensor:
        """Pictures (N 3 H W) from ids (N rows*columns); ids outside the book are its nearest end."""
        codes = self._codes()[ids.clamp(0, self.config.codes - 1)]
        return self._painted(codes.transpose(1, 2).unflatten(-1, (rows, -1)))

    def loss(self, pictures: Tensor) -> Tensor:
        """(N,): error of the picture after encoding and decoding, what pulls cells and codes together, and variety."""
        cells = self._cells(pictures)
        codes = self._codes()[self._nearest(cells)].permute(0, 2, 1).unflatten(-1, cells.shape[2:])
        painted = self._painted(cells + (codes - cells).detach())
        pull = (codes - cells.detach()).square().mean((1, 2, 3))
        commit = (codes.detach() - cells).square().mean((1, 2, 3))
        error = (painted - pictures).square().mean((1, 2, 3)) + pull + self.config.commitment * commit
        return error - self.config.variety * self._variety(cells)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of ids. Raises `ShapeError` when the picture cannot be halved so often."""
        step = 2 ** len(self.config.widths)
        if height % step or width % step:
            raise ShapeError(f"pictures must be multiples of {step} pixels, got {height} x {width}", leaf="cameras")
        return height // step, width // step

    def _variety(self, cells: Tensor) -> Tensor:
        """How sure each cell is of its code and how differently the batch's cells choose: a mutual information."""
        share = (10.0 * cells.flatten(2).transpose(1, 2).flatten(0, 1) @ self._codes().T).softmax(-1)
        together = share.mean(0)
        apart = (share * share.clamp_min(1e-8).log()).sum(-1).mean()
        return apart - (together * together.clamp_min(1e-8).log()).sum()

    def _cells(self, pictures: Tensor) -> Tensor:
        return F.normalize(self.down(pictures), dim=1)

    def _codes(self) -> Tensor:
        return F.normalize(self.book.weight, dim=-1)

    def _nearest(self, cells: Tensor) -> Tensor:
        with torch.no_grad():
            return (cells.flatten(2).transpose(1, 2) @ self._codes().T).argmax(-1)

    def _painted(self, codes: Tensor) -> Tensor:
        return self.out(self.up(codes))


class PictureCodes(nn.Module):
    """All cameras' pictures of one moment as one row of ids: what speaks or foresees pictures shares it."""

    def __init__(self, config: VqConfig, sizes: dict[str, tuple[int, int]]) -> None:
        super().__init__()
        self.vq = VqImage(config)
        self.cameras = tuple(sizes)
        self.grids = [self.vq.grid(*size) for size in sizes.values()]
        self.count = sum(rows * columns for rows, columns in self.grids)

    def ids(self, images: dict[str, Tensor], moment: int) -> Tensor:
        """Int64 (B count) of one moment of pictures (B T H W 3), camera by camera."""
        pictures = [scale_pixels(x[:, moment], "symmetric") for x in pick_cameras(images, self.cameras)]
        return torch.cat([self.vq.encode(picture) for picture in pictures], dim=1)

    def loss_terms(self, context: Context, batch: Batch, rng: torch.Generator | None) -> dict[str, Tensor]:
        """{"picture_codes": (B,)}: the autoencoder's own loss on what is seen now."""
        seen = pick_cameras(batch.observation.images, self.cameras)
        losses = [self.vq.loss(scale_pixels(picture[:, -1], "symmetric")) for picture in seen]
        return {"picture_codes": torch.stack(losses).mean(0)}


def picture_codes(config: VqConfig, spec: ObservationSpec) -> PictureCodes:
    """Codes of all cameras of a body."""
    return PictureCodes(config, {camera.name: (camera.height, camera.width) for camera in spec.cameras})
