"""Florence-2's eyes (vis.davit): a convolutional transformer, then tokens of cells behind one of the whole picture.

Tower and projector are transformers' own classes with random weights; nothing is downloaded. The one thing to watch:
the design has room for a number of views, and a view that is not there is not masked but seen as tokens of zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.errors import ConfigError
from embodia.core.specs import ObservationSpec
from embodia.core.types import Observation, TokenGroup
from embodia.nn.image import Fit, Scaling, fit_square, pick_cameras, scale_pixels


@dataclass(frozen=True, kw_only=True)
class FlorenceConfig:
    """Sizes of the tower (DaViT); the defaults are Florence-2 large's (Xiao et al. 2024).

    heads     a stage, of pixels in windows and of channels alike; `grid` and `moments` are room for learned places
    pixels    side of the square that pictures are brought to, 0 leaves them as they are
    views     how many pictures there is room for, 0 = the cameras of the contract
    """

    kind: Literal["florence"] = "florence"
    depths: tuple[int, ...] = (1, 1, 9, 1)
    widths: tuple[int, ...] = (256, 512, 1024, 2048)
    heads: tuple[int, ...] = (8, 16, 32, 64)
    patches: tuple[int, ...] = (7, 3, 3, 3)
    strides: tuple[int, ...] = (4, 2, 2, 2)
    paddings: tuple[int, ...] = (3, 1, 1, 1)
    window: int = 12
    drop_path: float = 0.1
    grid: int = 50
    moments: int = 100
    pixels: int = 224
    fit: Fit = "stretch"
    smooth: bool = True
    views: int = 0
    scaling: Scaling = "imagenet"


class FlorenceViews(nn.Module):
    """Pictures of all cameras to the group "image", (B, T * views * (1 + h * w), width), camera by camera.

    `first` tokens are those of the first camera. Raises `ConfigError` where cameras have maps of different sizes, or
    maps the learned places have no room for.
    """

    def __init__(self, config: FlorenceConfig, spec: ObservationSpec, width: int) -> None:
        super().__init__()
        from transformers.models.florence2 import modeling_florence2 as hub

        sizes = _sizes(config, width)
        self.config, self.cameras = config, spec.camera_names
        self.tower: Any = hub.Florence2VisionBackbone(sizes.vision_config)
        self.project: Any = hub.Florence2MultiModalProjector(sizes)  # type: ignore[no-untyped-call]
        sides = {(self.map_size(camera.height), self.map_size(camera.width)) for camera in spec.cameras}
        if len(sides) != 1 or max(max(side) for side in sides) > config.grid:
            raise ConfigError(f"maps of {sorted(sides)} cells, one size up to {config.grid} is needed", leaf="vision")
        rows, columns = sides.pop()
        self.first = 1 + rows * columns
        self.missing = max(config.views - len(self.cameras), 0) * self.first
        self.tokens = len(self.cameras) * self.first + self.missing

    def packed(self) -> FlorenceViews:
        """Itself: its layers ask one another for the type of their weights (`nn.packed.Packable`)."""
        return self

    def map_size(self, pixels: int) -> int:
        """Rows or columns of the map of a picture with so many."""
        side = self.config.pixels or pixels
        for patch, stride, padding in zip(self.config.patches, self.config.strides, self.config.paddings, strict=True):
            side = (side + 2 * padding - patch) // stride + 1
        return side

    def forward(self, observation: Observation) -> TokenGroup:
        """Tokens time step by time step; those of an absent camera are zeros."""
        pictures = pick_cameras(observation.images, self.cameras)
        batch, steps = pictures[0].shape[:2]
        frames = [self._fitted(scale_pixels(picture.flatten(0, 1), self.config.scaling)) for picture in pictures]
        same = len({frame.shape for frame in frames}) == 1
        seen = [self._cells(torch.cat(frames))] if same else [self._cells(frame) for frame in frames]
        each = torch.cat(seen).unflatten(0, (len(frames), batch, steps))
        here = [self._present(observation, name, each) for name in self.cameras]
        tokens = (each * torch.stack(here)[..., None, None]).permute(1, 2, 0, 3, 4).flatten(2, 3)
        tokens = F.pad(tokens, (0, 0, 0, self.missing)).flatten(1, 2)
        return TokenGroup(name="image", tokens=tokens, mask=None, attends_to=("image",))

    def _fitted(self, frames: Tensor) -> Tensor:
        if not self.config.pixels:
            return frames
        return fit_square(frames, self.config.pixels, self.config.fit, smooth=self.config.smooth, black=0.0)

    def _cells(self, frames: Tensor) -> Tensor:
        return self.project(self.tower(frames).last_hidden_state)  # type: ignore[no-any-return]

    def _present(self, observation: Observation, name: str, each: Tensor) -> Tensor:
        there = observation.masks.get(name)
        return each.new_ones(each.shape[1:3]) if there is None else there.to(each.dtype)


def _sizes(config: FlorenceConfig, width: int) -> Any:
    from transformers import Florence2Config

    stages = {
        "depths": config.depths,
        "embed_dim": config.widths,
        "num_heads": config.heads,
        "num_groups": config.heads,
        "patch_size": config.patches,
        "patch_stride": config.strides,
        "patch_padding": config.paddings,
        "patch_prenorm": [index > 0 for index in range(len(config.depths))],
    }
    vision = {
        "window_size": config.window,
        "drop_path_rate": config.drop_path,
        "projection_dim": width,
        "max_position_embeddings": config.grid,
        "max_temporal_embeddings": config.moments,
    }
    return Florence2Config(vision_config={**{name: list(row) for name, row in stages.items()}, **vision})
