"""The camera encoder a configuration asks for: any trunk, the same tokens."""

from __future__ import annotations

from typing import TypeAlias

from torch import nn

from embodia.core.specs import ObservationSpec
from embodia.nn.projector import ProjectorConfig
from embodia.parts.encoders.camera import CameraTokens
from embodia.parts.encoders.conv_stem import ConvStemConfig, conv_stem_trunks
from embodia.parts.encoders.resnet import ResNetConfig, resnet_trunks
from embodia.parts.encoders.siglip import SiglipConfig, siglip_trunks
from embodia.parts.encoders.towers import DualConfig, TowerConfig, tower_trunks

VisionConfig: TypeAlias = ResNetConfig | ConvStemConfig | SiglipConfig | TowerConfig | DualConfig


def vision_trunks(config: VisionConfig, cameras: int) -> nn.ModuleList:
    """Trunks of the configured kind: a single shared one, or one a camera."""
    if isinstance(config, ResNetConfig):
        return resnet_trunks(config, cameras)
    if isinstance(config, SiglipConfig):
        return siglip_trunks(config)
    if isinstance(config, TowerConfig | DualConfig):
        return tower_trunks(config)
    return conv_stem_trunks(config, cameras)


def camera_tokens(
    config: VisionConfig,
    spec: ObservationSpec,
    width: int,
    *,
    camera_embedding: bool = False,
    projector: ProjectorConfig | None = None,
    told: tuple[nn.Module, int] | None = None,
) -> CameraTokens:
    """The encoder of the group "image" for the cameras of `spec`; transformers have learned positions of their own.

    `told` is what makes the vector that modulates the towers, and its width.
    """
    trunks = vision_trunks(config, len(spec.cameras))
    if told is not None:
        for trunk in trunks:
            trunk.modulate(told[1])  # type: ignore[operator]
    return CameraTokens(
        spec,
        trunks,
        width,
        scaling=config.scaling,
        camera_embedding=camera_embedding,
        positions=not _knows_positions(config),
        projector_config=projector,
        told=None if told is None else told[0],
    )


def _knows_positions(config: VisionConfig) -> bool:
    convolutional = isinstance(config, TowerConfig) and config.family in ("convnext", "efficientnet")
    return isinstance(config, SiglipConfig | TowerConfig | DualConfig) and not convolutional
