"""Another body: displacements keep their length, grippers their meaning, seconds stay seconds; the rest is refused."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embodia.core.errors import ContractError
from embodia.core.specs import ActionPart, ActionSpec, Contract, ObservationSpec, StatePart
from embodia.core.types import ActionChunk, Observation
from embodia.evaluation.generalisation.retarget import Retargeted, translated, translated_state


def action(rate, scale, polarity):
    return ActionSpec(
        parts=(
            ActionPart(name="hand", dim=2, representation="ee_position_delta", scale=scale),
            ActionPart(name="tilt", dim=1, representation="ee_rotation", rotation="axis_angle", scale=2.0),
            ActionPart(name="gripper", dim=1, representation="gripper", polarity=polarity),
        ),
        rate_hz=rate,
    )


def sight(joints):
    return ObservationSpec(
        cameras=(),
        state=(StatePart(name="joints", dim=joints, units="rad"), StatePart(name="tool", dim=2, units="m")),
        rate_hz=10.0,
    )


FAST, SLOW = action(20.0, 0.02, "positive_closes"), action(10.0, 0.04, "positive_opens")


def contract(spec, joints, name):
    return Contract(observation=sight(joints), action=spec, embodiment=name)


class Told:
    """Emits one chunk and keeps what it was shown."""

    def __init__(self, chunk, spec=FAST):
        self.contract = contract(replace(spec, chunk=len(chunk)), 3, "fast")
        self.chunk, self.seen = np.asarray(chunk, np.float32)[None], []

    def act(self, observation, carry, rng):
        self.seen.append(observation)
        valid = np.ones(self.chunk.shape[:2], bool)
        return ActionChunk(actions=self.chunk, valid=valid, spec=self.contract.action), "carried"


def test_two_quick_steps_become_one_of_the_same_length():
    quick = np.array([[[1.0, 0.5, 0.1, 1.0], [1.0, -0.5, 0.2, -1.0]]], np.float32)
    found = translated(quick, FAST, SLOW)
    assert np.allclose(found, [[[1.0, 0.0, 0.2, 1.0]]])


def test_an_odd_step_moves_no_further_than_it_was_told():
    quick = np.array([[[0.5, 0, 0, 1]] * 3], np.float32)
    found = translated(quick, FAST, SLOW)
    assert found.shape == (1, 2, 4) and np.allclose(found[0, :, 0], [0.5, 0.25]) and np.allclose(found[..., 3], -1)


def test_a_slow_step_is_spread_over_quick_ones():
    slow = np.array([[[0.5, -0.25, 0.3, -1.0]]], np.float32)
    found = translated(slow, SLOW, FAST)
    assert np.allclose(found, [[[0.5, -0.25, 0.3, 1.0], [0.5, -0.25, 0.3, 1.0]]])


@given(st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=12))
def test_the_way_travelled_is_kept_where_no_bound_is_met(steps):
    quick = np.zeros((1, len(steps), 4), np.float32)
    quick[0, :, 0] = steps
    found = translated(quick, FAST, SLOW)
    assert found[..., 0].sum() * 0.04 == pytest.approx(sum(steps) * 0.02, abs=1e-5)


def test_the_bounds_of_the_other_body_hold():
    quick = np.ones((1, 4, 4), np.float32)
    small = replace(SLOW, parts=(replace(SLOW.parts[0], scale=0.01), *SLOW.parts[1:]))
    assert np.abs(translated(quick, FAST, small)).max() == 1.0


def test_state_is_taken_by_name_and_filled_in_where_it_does_not_fit():
    given_state = np.array([[[1.0, 2.0, 0.7, 0.8]]])
    fill = np.array([9.0, 9.0, 9.0, 5.0, 5.0], np.float32)
    found = translated_state(given_state, sight(2), sight(3), fill)
    assert np.allclose(found, [[[9.0, 9.0, 9.0, 0.7, 0.8]]])


def test_a_policy_sees_its_own_body_and_acts_on_the_other():
    policy = Told([[1.0, 0.0, 0.0, 1.0]] * 4)
    other = Retargeted(policy, contract(SLOW, 2, "slow"), neutral=[0.1, 0.2, 0.3, 0.0, 0.0])
    assert other.pace == 0.5 and other.contract.embodiment == "slow" and other.contract.action.chunk == 2
    seen = Observation(state=np.array([[[7.0, 7.0, 0.4, 0.5]]]), embodiment="slow", instruction=("Go.",))
    chunk, carry = other.act(seen, None, None)
    assert chunk.actions.shape == (1, 2, 4) and chunk.spec == other.contract.action and carry == "carried"
    assert policy.seen[0].embodiment == "fast" and policy.seen[0].instruction == ("Go.",)
    assert np.allclose(policy.seen[0].state, [[[0.1, 0.2, 0.3, 0.4, 0.5]]])
    assert other.act(Observation(), None, None)[0].actions.shape == (1, 2, 4) and policy.seen[1].state is None


@pytest.mark.parametrize(
    "spec",
    [
        replace(SLOW, rate_hz=7.0),
        replace(SLOW, parts=SLOW.parts[:2]),
        replace(SLOW, parts=(replace(SLOW.parts[0], frame="tool"), *SLOW.parts[1:])),
        replace(SLOW, parts=(replace(SLOW.parts[0], representation="ee_position"), *SLOW.parts[1:])),
    ],
)
def test_what_means_something_else_is_refused(spec):
    with pytest.raises(ContractError):
        Retargeted(Told([[0.0] * 4]), contract(spec, 2, "slow"))


def test_a_neutral_state_has_the_policys_size():
    with pytest.raises(ContractError, match="neutral"):
        Retargeted(Told([[0.0] * 4]), contract(SLOW, 2, "slow"), neutral=[0.0])
