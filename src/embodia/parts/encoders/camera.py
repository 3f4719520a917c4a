"""Cameras to tokens: every cell of a feature map becomes one token with a two-dimensional position.

All cameras of one size go through a shared trunk as one batch. The one thing to watch: with a shared trunk and no
camera embedding nothing tells two cameras apart but their content, exactly as in the ACT paper.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from embodia.core.specs import ObservationSpec
from embodia.core.types import Observation, TokenGroup
from embodia.nn.image import Scaling, pick_cameras, scale_pixels
from embodia.nn.positional import grid_positions
from embodia.nn.projector import ProjectorConfig, fold, projector


class CameraTokens(nn.Module):
    """Pictures of all cameras of `spec` to one group of (B, T * cameras * h * w, width) tokens.

    `trunks` holds one trunk a camera, or a single one that all share. A camera that `observation.masks` says is absent
    keeps its tokens, masked. Without `positions` and camera embedding the tokens carry none (the trunk knows its own).
    `told` makes the vector (B C) that modulates the trunks.
    """

    position: Tensor

    def __init__(
        self,
        spec: ObservationSpec,
        trunks: nn.ModuleList,
        width: int,
        *,
        scaling: Scaling,
        camera_embedding: bool,
        positions: bool = True,
        projector_config: ProjectorConfig | None = None,
        told: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.cameras = spec.camera_names
        self.scaling = scaling
        self.trunks, self.told = trunks, told
        how = projector_config or ProjectorConfig()
        self.shuffle = how.shuffle
        self.project = projector(how, int(trunks[0].channels) * how.shuffle**2, width)  # type: ignore[arg-type]
        self.sizes = tuple(
            (
                trunks[0].map_size(camera.height) // how.shuffle,  # type: ignore[operator]
                trunks[0].map_size(camera.width) // how.shuffle,  # type: ignore[operator]
            )
            for camera in spec.cameras
        )
        self.tokens = sum(rows * columns for rows, columns in self.sizes)
        self.first = self.sizes[0][0] * self.sizes[0][1]
        tables = [grid_positions(rows, columns, width) for rows, columns in self.sizes]
        self.register_buffer("position", torch.cat(tables), persistent=False)
        self.positions = positions or camera_embedding
        if not positions:
            self.position.zero_()
        self.camera = nn.Parameter(torch.zeros(len(self.cameras), width)) if camera_embedding else None

    def forward(self, observation: Observation) -> TokenGroup:
        """The group "image"."""
        pictures = pick_cameras(observation.images, self.cameras)
        batch, steps = pictures[0].shape[:2]
        film = None if self.told is None else self.told(observation).repeat_interleave(steps, dim=0)
        tokens = torch.cat([cells.unflatten(0, (batch, steps)) for cells in self._maps(pictures, film)], dim=2)
        position: Tensor = self.position
        if self.camera is not None:
            counts = torch.tensor([rows * columns for rows, columns in self.sizes], device=tokens.device)
            position = position + self.camera.repeat_interleave(counts, dim=0)
        return TokenGroup(
            name="image",
            tokens=tokens.flatten(1, 2),
            mask=self._mask(observation, batch, steps, tokens.device),
            attends_to=("image",),
            position=position.repeat(steps, 1) if self.positions else None,
        )

    def _maps(self, pictures: list[Tensor], film: Tensor | None) -> list[Tensor]:
        """Projected cells (B * T, h * w, width) a camera."""
        frames = [picture.flatten(0, 1) for picture in pictures]
        if len(self.trunks) == 1 and len(set(self.sizes)) == 1:
            stacked = self._cells(torch.cat(frames), 0, None if film is None else film.repeat(len(frames), 1))
            return list(stacked.chunk(len(frames)))
        trunk = [0] * len(frames) if len(self.trunks) == 1 else range(len(frames))
        return [self._cells(frame, index, film) for frame, index in zip(frames, trunk, strict=True)]

    def _cells(self, frames: Tensor, trunk: int, film: Tensor | None) -> Tensor:
        told = () if film is None else (film,)
        features = fold(self.trunks[trunk](scale_pixels(frames, self.scaling), *told), self.shuffle)
        return self.project(features.permute(0, 2, 3, 1).flatten(1, 2))

    def _mask(self, observation: Observation, batch: int, steps: int, device: torch.device) -> Tensor | None:
        if not observation.masks.keys() & set(self.cameras):
            return None
        present = torch.ones(batch, steps, dtype=torch.bool, device=device)
        masks = [
            observation.masks.get(name, present)[..., None].expand(batch, steps, rows * columns)
            for name, (rows, columns) in zip(self.cameras, self.sizes, strict=True)
        ]
        return torch.cat(masks, dim=2).flatten(1)
