"""Key frames of paths on paper, and as a sample of a data set asks for them."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from data_fakes import contract, episode, provenance

from embodia.core.moments import AFTER_KEY, NEXT_KEY
from embodia.data.dataset import Dataset
from embodia.data.keyframes import BEND_M, next_keys
from embodia.data.recorder import Recorder


def line(*corners, step=0.01):
    """A path through corners at constant speed, (N 3)."""
    path = [np.array(corners[0], float)]
    for first, last in pairwise(corners):
        count = max(1, round(np.linalg.norm(np.subtract(last, first)) / step))
        path += [np.array(first) + (np.array(last) - first) * (k + 1) / count for k in range(count)]
    return np.array(path)


def keys(path, closed=None):
    closed = np.zeros(len(path), bool) if closed is None else closed
    states = np.concatenate([path, np.where(closed, 0.3, 1.0)[:, None]], axis=1)
    actions = np.concatenate([np.zeros((len(path), 3)), np.where(closed, 1.0, -1.0)[:, None]], axis=1)
    return next_keys(contract(), states, actions)


def test_a_straight_path_has_its_end_only():
    found, leaves = keys(line((0, 0, 0), (0.3, 0.1, 0)))
    assert set(found.tolist()) == {len(found) - 1} and leaves[0] == len(found) - 1


def test_a_corner_is_a_key_frame_and_a_small_bend_is_none():
    path = line((0, 0, 0), (0.2, 0, 0), (0.2, 0.2, 0))
    found, _ = keys(path)
    assert abs(found[0] - 20) <= 1 and found[-1] == len(path) - 1
    bent, _ = keys(line((0, 0, 0), (0.2, BEND_M / 3, 0), (0.4, 0, 0)))
    assert set(bent.tolist()) == {len(bent) - 1}


def test_a_gripper_that_closes_is_waited_for():
    down, up = line((0, 0, 0.2), (0, 0, 0)), line((0, 0, 0), (0, 0, 0.2))
    wait = np.zeros((6, 3))
    path = np.concatenate([down, wait, up])
    closed = np.arange(len(path)) >= len(down)
    found, leaves = keys(path, closed)
    grasp = len(down)
    assert found[0] == found[grasp] == found[grasp + 3], "while it closes, it is still about closing"
    assert abs(found[0] - grasp) <= 1
    assert found[grasp + 8] == len(path) - 1
    assert leaves[0] >= grasp + 5, "by then the gripper has closed"


def test_standing_still_is_a_key_frame():
    path = np.concatenate([line((0, 0, 0), (0.2, 0, 0)), np.tile([0.2, 0, 0], (8, 1)), line((0.2, 0, 0), (0.4, 0, 0))])
    found, _ = keys(path)
    assert 19 <= found[0] <= 22 and found[-1] == len(path) - 1


def test_every_frame_has_a_key_frame_that_is_not_left_before():
    rng = np.random.default_rng(0)
    path = rng.normal(scale=0.02, size=(80, 3)).cumsum(0)
    found, leaves = keys(path, rng.uniform(size=80) < 0.3)
    frames = np.arange(80)
    assert (leaves >= np.minimum(frames, 79)).all() and (found <= leaves).all() and (np.diff(found) >= 0).all()


def test_a_body_without_a_place_counts_grippers():
    plain = contract()
    blind = replace(plain, observation=replace(plain.observation, state=plain.observation.state[1:]))
    actions = np.zeros((10, 4))
    actions[4:, 3] = 1.0
    found, _ = next_keys(blind, np.ones((10, 1)), actions)
    assert found.tolist() == [4] * 5 + [9] * 5


def test_a_sample_asks_for_the_state_at_its_key_frame(tmp_path):
    path = line((0, 0, 0), (0.2, 0, 0), (0.2, 0.2, 0)).astype(np.float32)
    states = np.concatenate([path, np.ones((len(path), 1), np.float32)], axis=1)
    actions = np.zeros((len(path), 4), np.float32)
    with Recorder(tmp_path / "set", contract=contract(), provenance=provenance()) as recorder:
        recorder.record(episode(0, length=len(path), state=states, actions=actions))
        recorder.record(episode(1, length=9))
    data = Dataset.open(tmp_path / "set").select([0])
    found, leaves = next_keys(contract(), states, actions)
    batch = data.batch(np.array([0, 30]), chunk=4, ahead=(NEXT_KEY, AFTER_KEY, 3))
    for row, frame in enumerate((0, 30)):
        np.testing.assert_array_equal(batch.ahead[row, 0], states[found[frame]])
        np.testing.assert_array_equal(batch.ahead[row, 1], states[leaves[frame]])
        np.testing.assert_array_equal(batch.ahead[row, 2], states[min(frame + 3, len(path) - 1)])
