"""From a human hand to a robot's (prop.retarget): keypoints to a wrist frame and an opening, motions to actions.

Video of people becomes robot data when the wrist says where the tool goes and thumb and fingers say how far it closes
(EgoVLA, Being-H0). The 21 keypoints stand in the order of MANO: wrist, then four of each finger, thumb first. The
one thing to watch: scale and frame must be the robot's; a hand in a camera's frame moves when the camera does.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.errors import ShapeError

WRIST, THUMB_TIP, INDEX_BASE, INDEX_TIP, MIDDLE_BASE, LITTLE_BASE = 0, 4, 5, 8, 9, 17
"""Which of the 21 keypoints."""


@dataclass(frozen=True, kw_only=True)
class HandPose:
    """Where a hand is: `position` (... 3) m between thumb and index tip, `rotation` (... 3 3), `opening` (...) 0..1."""

    position: Tensor
    rotation: Tensor
    opening: Tensor


def hand_pose(keypoints: Tensor, widest_m: float = 0.1) -> HandPose:
    """The pose of hands (... 21 3) m; fingertips `widest_m` apart are fully open. Raises `ShapeError`.

    The axes of the rotation are: along the hand, from the little to the index finger, and out of the palm.
    """
    if keypoints.shape[-2:] != (21, 3):
        raise ShapeError(f"a hand has 21 keypoints of 3 numbers, got {tuple(keypoints.shape[-2:])}", leaf="keypoints")
    wrist, thumb, index = (keypoints[..., place, :] for place in (WRIST, THUMB_TIP, INDEX_TIP))
    along = F.normalize(keypoints[..., MIDDLE_BASE, :] - wrist, dim=-1)
    across = keypoints[..., INDEX_BASE, :] - keypoints[..., LITTLE_BASE, :]
    across = F.normalize(across - (across * along).sum(-1, keepdim=True) * along, dim=-1)
    rotation = torch.stack([along, across, torch.linalg.cross(along, across)], dim=-1)
    opening = ((thumb - index).norm(dim=-1) / widest_m).clamp(0, 1)
    return HandPose(position=(thumb + index) / 2, rotation=rotation, opening=opening)


def motion(poses: HandPose) -> tuple[Tensor, Tensor, Tensor]:
    """Between consecutive poses (T ...): moves (T-1 3) m, turns (T-1 3) as axis times angle, and closing 0..1 (T-1)."""
    turned = poses.rotation[1:] @ poses.rotation[:-1].transpose(-1, -2)
    return poses.position[1:] - poses.position[:-1], axis_angle(turned), 1 - poses.opening[1:]


def axis_angle(rotation: Tensor) -> Tensor:
    """Axis times angle (... 3) of rotations (... 3 3) by less than half a turn."""
    trace = rotation.diagonal(dim1=-2, dim2=-1).sum(-1)
    angle = torch.acos(((trace - 1) / 2).clamp(-1 + 1e-7, 1 - 1e-7))
    skew = torch.stack(
        [
            rotation[..., 2, 1] - rotation[..., 1, 2],
            rotation[..., 0, 2] - rotation[..., 2, 0],
            rotation[..., 1, 0] - rotation[..., 0, 1],
        ],
        dim=-1,
    )
    return skew * (angle / (2 * angle.sin()).clamp_min(1e-6))[..., None]


class HandBasis(nn.Module):
    """Finger joints (N J) as a few numbers (N K) and back: the principal components of hands seen in `fit_hands`."""

    mean: Tensor
    axes: Tensor

    def __init__(self, joints: int, components: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(joints))
        self.register_buffer("axes", torch.eye(joints)[:components])

    def fit_hands(self, joints: Tensor) -> None:
        """Take mean and axes from many hands (N J)."""
        self.mean.copy_(joints.mean(0))
        self.axes.copy_(torch.linalg.svd(joints - self.mean, full_matrices=False).Vh[: len(self.axes)])

    def encode(self, joints: Tensor) -> Tensor:
        """(... J) to (... K)."""
        return (joints - self.mean) @ self.axes.T

    def decode(self, numbers: Tensor) -> Tensor:
        """(... K) to (... J)."""
        return numbers @ self.axes + self.mean
