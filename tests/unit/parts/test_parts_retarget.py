"""Hands to grippers: known poses, rotations against scipy, components that come back."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from embodia.core.errors import ShapeError
from embodia.parts.retarget import HandBasis, HandPose, axis_angle, hand_pose, motion


def flat_hand():
    """A right hand on the table pointing along x, index finger at positive y."""
    points = torch.zeros(21, 3)
    points[9] = torch.tensor([0.1, 0.0, 0.0])
    points[5] = torch.tensor([0.1, 0.03, 0.0])
    points[17] = torch.tensor([0.08, -0.04, 0.0])
    points[4] = torch.tensor([0.12, 0.06, 0.0])
    points[8] = torch.tensor([0.18, 0.03, 0.0])
    return points


def test_a_hand_has_a_place_axes_and_an_opening():
    pose = hand_pose(flat_hand(), widest_m=0.1)
    assert torch.allclose(pose.position, torch.tensor([0.15, 0.045, 0.0]))
    assert torch.allclose(pose.rotation, torch.eye(3), atol=1e-5)
    assert float(pose.opening) == pytest.approx(float(np.hypot(0.06, 0.03)) / 0.1, rel=1e-4)
    closed = flat_hand()
    closed[4] = closed[8]
    assert float(hand_pose(closed).opening) == 0.0


def test_the_pose_turns_and_moves_with_the_hand():
    turn = torch.tensor(Rotation.from_rotvec([0.3, -0.5, 0.9]).as_matrix(), dtype=torch.float32)
    shift = torch.tensor([0.2, 0.1, -0.3])
    base, moved = hand_pose(flat_hand()), hand_pose(flat_hand() @ turn.T + shift)
    assert torch.allclose(moved.rotation, turn @ base.rotation, atol=1e-5)
    assert torch.allclose(moved.position, turn @ base.position + shift, atol=1e-5)
    assert float(moved.opening) == pytest.approx(float(base.opening), rel=1e-5)


def test_turns_agree_with_scipy():
    vectors = np.random.default_rng(0).normal(size=(50, 3))
    vectors *= np.random.default_rng(1).uniform(0.01, 3.0, (50, 1)) / np.linalg.norm(vectors, axis=1, keepdims=True)
    matrices = torch.tensor(Rotation.from_rotvec(vectors).as_matrix())
    assert np.allclose(axis_angle(matrices).numpy(), vectors, atol=1e-5)


def test_no_turn_is_zero():
    assert axis_angle(torch.eye(3)[None]).abs().max() < 1e-3


def test_motion_is_what_takes_one_pose_to_the_next():
    turns = Rotation.from_rotvec(np.random.default_rng(2).normal(size=(4, 3)) * 0.4).as_matrix()
    poses = HandPose(
        position=torch.randn(4, 3, generator=torch.Generator().manual_seed(0)),
        rotation=torch.tensor(turns, dtype=torch.float32),
        opening=torch.tensor([1.0, 0.5, 0.0, 0.2]),
    )
    moves, rotations, closing = motion(poses)
    assert torch.allclose(poses.position[0] + moves.cumsum(0)[-1], poses.position[-1], atol=1e-5)
    for step in range(3):
        taken = Rotation.from_rotvec(rotations[step].numpy()).as_matrix() @ turns[step]
        assert np.allclose(taken, turns[step + 1], atol=1e-4)
    assert closing.tolist() == pytest.approx([0.5, 1.0, 0.8])


def test_fingers_come_back_from_a_few_components():
    rng = torch.Generator().manual_seed(0)
    hidden, mixing = torch.randn(200, 3, generator=rng), torch.randn(3, 15, generator=rng)
    joints = hidden @ mixing + 0.7
    basis = HandBasis(15, 3)
    basis.fit_hands(joints)
    assert torch.allclose(basis.decode(basis.encode(joints)), joints, atol=1e-4)
    other = HandBasis(15, 3)
    other.load_state_dict(basis.state_dict())
    assert torch.equal(other.axes, basis.axes)


def test_another_number_of_keypoints_is_refused():
    with pytest.raises(ShapeError, match="21"):
        hand_pose(torch.zeros(20, 3))
