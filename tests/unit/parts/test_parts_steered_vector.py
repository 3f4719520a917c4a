"""Steered keypoints as one vector a moment: what it depends on, and what taught eyes bring."""

import torch

from embodia.core.specs import CameraSpec, ObservationSpec
from embodia.core.types import Observation
from embodia.parts.encoders.conv_stem import ConvStemConfig
from embodia.parts.encoders.keypoint import CameraKeypoints, SteeredVector, camera_vector
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig

EYE = KeypointStemConfig(channels=8, keypoints=4, grid_channels=8, condition=8)
SPEC = ObservationSpec(
    cameras=tuple(CameraSpec(name=name, height=16, width=16) for name in ("front", "wrist")),
    state=(),
    rate_hz=10.0,
)


def seen(steps=2, batch=3):
    images = {name: torch.randint(0, 256, (batch, steps, 16, 16, 3), dtype=torch.uint8) for name in SPEC.camera_names}
    return Observation(images=images, state=None, instruction=("push the cube", "open it", "push the cube")[:batch])


def encoder():
    torch.manual_seed(0)
    return camera_vector(EYE, SPEC, keypoints=8).eval()


def test_the_configuration_says_which_eyes():
    assert isinstance(encoder(), SteeredVector)
    assert isinstance(camera_vector(ConvStemConfig(widths=(8, 16), group_width=8), SPEC, 8), CameraKeypoints)


def test_both_kinds_are_equally_wide():
    plain = camera_vector(ConvStemConfig(widths=(8, 16), group_width=8), SPEC, 8)
    assert encoder().width == plain.width == 32


def test_one_vector_a_moment_that_sees_this_moment_alone():
    eye, before = encoder(), seen()
    group = eye(before)
    assert group.name == "image" and group.tokens.shape == (3, 2, 32)
    images = {name: picture.clone() for name, picture in before.images.items()}
    images["wrist"][:, 1] = 255 - images["wrist"][:, 1]
    after = eye(Observation(images=images, state=None, instruction=before.instruction))
    torch.testing.assert_close(after.tokens[:, 0], group.tokens[:, 0])
    assert not torch.allclose(after.tokens[:, 1], group.tokens[:, 1])


def test_the_sentence_steers_where_there_is_one():
    eye, one = encoder(), seen(batch=1)
    assert eye.eyes.words is not None
    other = Observation(images=one.images, state=None, instruction=("open it",))
    assert not torch.allclose(eye(one).tokens, eye(other).tokens)
