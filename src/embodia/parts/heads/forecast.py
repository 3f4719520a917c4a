"""What will be seen (head.image, head.aux): patches of later pictures, of what moved, of depth, of features.

Learned mask tokens, one a patch to come, look at what the policy's query tokens gathered, as in a masked autoencoder
(GR-1, section 3). Only what passes through the query tokens can be forecast, so they must learn what will happen. The
one thing to watch: a picture hardly changes in a few steps; "moving" counts only patches that do, and so does not
reward copying.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.errors import ShapeError
from embodia.core.protocols import Context
from embodia.core.specs import ObservationSpec
from embodia.core.types import Batch, Observation
from embodia.nn.detr import EncoderLayer, LayerSizes
from embodia.nn.image import scale_pixels

Target = Literal["pixels", "moving", "depth", "features"]


@dataclass(frozen=True, kw_only=True)
class ForecastConfig:
    """What is forecast and how.

    patch      pixels a side; pictures are brought to `pixels` a side first, 0 leaves them as they are
    layers     of the transformer that paints
    threshold  mean change of a patch, of full brightness, from which on it counts as moving
    """

    target: Target = "pixels"
    patch: int = 16
    pixels: int = 0
    width: int = 128
    heads: int = 4
    hidden: int = 256
    layers: int = 1
    threshold: float = 0.02


class Forecast(nn.Module):
    """Group `read` (B N memory) to every camera's patches at `steps` later moments; {name: (B,)} is their error.

    `features` is the network whose map is forecast (frozen here), for that target. Raises `ShapeError` when a batch
    lacks what came later.
    """

    def __init__(
        self,
        config: ForecastConfig,
        spec: ObservationSpec,
        memory: int,
        *,
        name: str,
        read: str,
        steps: int,
        features: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.config, self.name, self.read, self.steps = config, name, read, steps
        self.cameras = depth_cameras(spec) if config.target == "depth" else spec.camera_names
        self.features = None if features is None else features.requires_grad_(False)
        self.grids = [self._grid(c.height, c.width) for c in spec.cameras if c.name in self.cameras]
        sizes = LayerSizes(width=config.width, heads=config.heads, hidden=config.hidden, dropout=0.0, pre_norm=True)
        count = steps * sum(rows * columns for rows, columns in self.grids)
        self.bring = nn.Linear(memory, config.width)
        self.masks = nn.Parameter(0.5 * torch.randn(count, config.width))
        self.layers = nn.ModuleList(EncoderLayer(sizes) for _ in range(config.layers))
        self.out = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, self._channels()))

    def forward(self, context: Context) -> Tensor:
        """All forecast patches (B, steps * patches, channels), moment by moment, camera by camera."""
        told = self.bring(context.groups[self.read].tokens)
        x = torch.cat([told, self.masks.expand(len(told), -1, -1)], dim=1)
        still = x.new_zeros(x.shape[1:])
        for layer in self.layers:
            x = layer(x, still, None)
        return self.out(x[:, told.shape[1] :])

    def loss_terms(self, context: Context, batch: Batch, rng: torch.Generator | None) -> dict[str, Tensor]:
        """{name: (B,)}: mean error over patches; over moving patches where only those count."""
        if batch.later is None:
            raise ShapeError(f"the batch lacks what is seen {self.steps} steps ahead", leaf="later")
        error = self._error(self(context), self.target(batch.later))
        weight = self._weights(batch.observation, batch.later)
        return {self.name: (error * weight).sum(1) / weight.sum(1).clamp_min(1.0)}

    def target(self, later: Observation) -> Tensor:
        """What is to be forecast, like `forward` gives it."""
        pieces = [self._patches(later, name, moment) for moment in range(self.steps) for name in self.cameras]
        return torch.cat(pieces, dim=1)

    def _error(self, found: Tensor, wanted: Tensor) -> Tensor:
        if self.config.target == "features":
            return 1 - F.cosine_similarity(found, wanted, dim=-1)
        if self.config.target == "depth":
            return (found - wanted).abs().mean(-1)
        return (found - wanted).square().mean(-1)

    def _weights(self, now: Observation, later: Observation) -> Tensor:
        """1 for every patch (B N) that counts."""
        rows = []
        for moment in range(self.steps):
            for name, (high, wide) in zip(self.cameras, self.grids, strict=True):
                if self.config.target != "moving":
                    rows.append(torch.ones(later.batch_size, high * wide, device=self.masks.device))
                    continue
                change = self._picture(later, name, moment) - self._picture(now, name, -1)
                moved = F.adaptive_avg_pool2d(change.abs().mean(1, keepdim=True), (high, wide)).flatten(1)
                rows.append((moved > 2 * self.config.threshold).float())
        return torch.cat(rows, dim=1)

    def _patches(self, later: Observation, name: str, moment: int) -> Tensor:
        patch = self.config.patch
        if self.config.target == "depth":
            metres = self._fit(later.depth[name][:, moment, None].float())
            return F.unfold(metres, patch, stride=patch).transpose(1, 2)
        picture = self._picture(later, name, moment)
        if self.features is not None:
            with torch.no_grad():
                return self.features(picture).flatten(2).transpose(1, 2)
        patches = F.unfold(picture, patch, stride=patch).transpose(1, 2)
        spread, middle = torch.std_mean(patches, dim=-1, keepdim=True)
        return (patches - middle) / (spread + 1e-2)

    def _picture(self, seen: Observation, name: str, moment: int) -> Tensor:
        return self._fit(scale_pixels(seen.images[name][:, moment], "symmetric"))

    def _fit(self, picture: Tensor) -> Tensor:
        if not self.config.pixels:
            return picture
        return F.interpolate(picture, size=(self.config.pixels, self.config.pixels), mode="bilinear", antialias=True)

    def _grid(self, height: int, width: int) -> tuple[int, int]:
        height, width = (self.config.pixels or side for side in (height, width))
        if self.features is not None:
            return self.features.map_size(height), self.features.map_size(width)  # type: ignore[operator]
        return height // self.config.patch, width // self.config.patch

    def _channels(self) -> int:
        if self.features is not None:
            return int(self.features.channels)  # type: ignore[arg-type]
        return (1 if self.config.target == "depth" else 3) * self.config.patch**2


def depth_cameras(spec: ObservationSpec) -> tuple[str, ...]:
    """Cameras of which depth is measured."""
    return tuple(sense.camera for sense in spec.senses if sense.name == "depth")
