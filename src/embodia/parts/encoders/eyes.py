"""The group "image" a configuration asks for: cells of a map, steered keypoints, Florence-2's views."""

from __future__ import annotations

from typing import TypeAlias

from torch import nn

from embodia.core.specs import ObservationSpec
from embodia.nn.projector import ProjectorConfig
from embodia.parts.encoders.florence import FlorenceConfig, FlorenceViews
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig, SteeredKeypoints
from embodia.parts.encoders.vision import VisionConfig, camera_tokens

EyesConfig: TypeAlias = VisionConfig | KeypointStemConfig | FlorenceConfig


def eyes(
    config: EyesConfig,
    spec: ObservationSpec,
    width: int,
    *,
    camera_embedding: bool = False,
    projector: ProjectorConfig | None = None,
    told: tuple[nn.Module, int] | None = None,
) -> nn.Module:
    """An encoder of all cameras of `spec` into tokens of `width`; keypoints have positions a camera of their own."""
    if isinstance(config, KeypointStemConfig):
        return SteeredKeypoints(config, spec, width)
    if isinstance(config, FlorenceConfig):
        return FlorenceViews(config, spec, width)
    return camera_tokens(config, spec, width, camera_embedding=camera_embedding, projector=projector, told=told)
