"""The tool in a contract, and straight chunks: bounded, on the line, the gripper last."""

import numpy as np
import pytest
import torch

from embodia.core.errors import ConfigError
from embodia.core.specs import ActionPart, ActionSpec, Contract, ObservationSpec, StatePart
from embodia.core.statistics import FeatureStatistics
from embodia.nn.tool import posture, straight, tool_of, workspace

STATE = (
    StatePart(name="joints", dim=2, units="rad"),
    StatePart(name="tool", dim=3, units="m", frame="base"),
    StatePart(name="heading", dim=3, units="normalized", frame="base"),
    StatePart(name="gripper", dim=1, units="normalized"),
)
MOVE = ActionPart(name="hand", dim=3, representation="ee_position_delta", scale=0.02)
TURN = ActionPart(name="yaw", dim=1, representation="ee_rotation_delta", rotation="axis_angle", scale=0.1)
TILT = ActionPart(name="tilt", dim=1, representation="ee_rotation", rotation="axis_angle", scale=0.5)
GRIP = ActionPart(name="gripper", dim=1, representation="gripper", polarity="positive_opens")


def body(state=STATE, parts=(MOVE, TURN, TILT, GRIP)):
    seen = ObservationSpec(cameras=(), state=state, rate_hz=10, language=False)
    return Contract(observation=seen, action=ActionSpec(parts=parts, rate_hz=10), embodiment="b")


def test_indices_are_read_off_the_contract():
    tool = tool_of(body())
    assert (tool.place, tool.heading, tool.opening) == (2, 5, 8)
    assert (tool.move, tool.turn, tool.grip, tool.rest) == (0, 3, 5, (4,))
    assert (tool.closed, tool.opened, tool.step_m, tool.turn_rad) == (-1.0, 1.0, 0.02, 0.1)
    without = tool_of(body(state=(STATE[1],)))
    assert without.turn == -1 and without.rest == (3, 4) and without.opening == -1


def test_what_has_no_place_is_refused():
    with pytest.raises(ConfigError, match="known size"):
        tool_of(body(state=STATE[:1]))
    with pytest.raises(ConfigError, match="known size"):
        tool_of(body(parts=(ActionPart(name="h", dim=3, representation="ee_position_delta"), GRIP)))


def test_a_posture_is_place_turn_and_opening():
    state = torch.tensor([0.0, 0.0, 0.5, -0.1, 0.2, 0.0, 1.0, 0.0, 0.7])
    torch.testing.assert_close(posture(tool_of(body()), state), torch.tensor([0.5, -0.1, 0.2, np.pi / 2, 0.7]))


def play(tool, chunk, now):
    place, turn = now[:3].clone(), now[3].clone()
    for action in chunk:
        place += tool.step_m * action[:3]
        turn += tool.turn_rad * action[3]
    return place, turn


@pytest.mark.parametrize("away", [(0.03, 0.01, -0.02), (0.2, -0.1, 0.05), (0.0, 0.0, 0.0)])
def test_a_long_enough_chunk_arrives_exactly_and_stays_in_bounds(away):
    tool, now = tool_of(body()), torch.tensor([0.4, 0.0, 0.1, 0.2, 1.0])
    target = torch.cat([now[:3] + torch.tensor(away), torch.tensor([0.5, 0.0])])
    chunk = straight(tool, now[None], target[None], torch.tensor([[0.25]]), 16)[0]
    place, turn = play(tool, chunk, now)
    torch.testing.assert_close(place, target[:3])
    assert turn.item() == pytest.approx(0.5, abs=1e-5)
    assert chunk.abs().max() <= 1 + 1e-6 and (chunk[:, 4] == 0.25).all()
    assert chunk[-1, 5] == -1.0, "closed at the end"
    first = (chunk[:, 5] < 0).nonzero()[0].item()
    assert chunk[first + 1 :, :4].abs().max() < 1e-6, "the hand has arrived when the gripper moves"


def test_a_short_chunk_goes_part_of_the_line_with_the_gripper_as_it_was():
    tool, now = tool_of(body()), torch.tensor([0.4, 0.0, 0.1, 0.0, 0.4])
    target = torch.tensor([0.9, 0.25, 0.1, 0.0, 1.0])
    chunk = straight(tool, now[None], target[None], torch.zeros(1, 1), 5)[0]
    torch.testing.assert_close(chunk[:, 0], torch.ones(5))
    torch.testing.assert_close(chunk[:, 1], torch.full((5,), 0.5))
    assert (chunk[:, 5] == -1).all()


def test_a_turn_takes_the_shorter_way_round():
    tool, now = tool_of(body()), torch.tensor([0.0, 0.0, 0.0, 3.0, 1.0])
    target = torch.tensor([0.0, 0.0, 0.0, -3.0, 1.0])
    chunk = straight(tool, now[None], target[None], torch.zeros(1, 1), 8)[0]
    assert chunk[:, 3].sum().item() * 0.1 == pytest.approx(2 * np.pi - 6.0, abs=1e-5)


def test_the_workspace_holds_where_the_tool_was():
    numbers = tuple(float(i) for i in range(9))
    known = FeatureStatistics(
        count=9,
        mean=numbers,
        std=numbers,
        minimum=numbers,
        maximum=tuple(n + 1 for n in numbers),
        q01=numbers,
        q99=numbers,
    )
    centre, half = workspace(tool_of(body()), known)
    assert centre.tolist() == [2.5, 3.5, 4.5] and half.item() == pytest.approx(0.62)
    assert workspace(tool_of(body()), None)[0].tolist() == [0, 0, 0]
