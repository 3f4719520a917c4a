"""Invented inputs fit the contract they were made for, down to padding and bounds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embodia.core.invent import SENTENCES, invent_batch, invent_observation
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.types import check_actions, check_observation

REACH = ActionPart(name="reach", dim=2, representation="ee_position", units="m", low=-0.5, high=0.25)
CLAW = ActionPart(name="claw", dim=1, representation="gripper", polarity="positive_opens", low=0.0, high=255.0)
CONTRACT = Contract(
    observation=ObservationSpec(
        cameras=(CameraSpec(name="left", height=6, width=4), CameraSpec(name="right", height=2, width=8)),
        state=(StatePart(name="hand", dim=3), StatePart(name="claw", dim=1)),
        rate_hz=20.0,
    ),
    action=ActionSpec(parts=(REACH, CLAW), rate_hz=20.0, chunk=7),
    embodiment="crane",
)
BLIND = replace(CONTRACT, observation=ObservationSpec(cameras=(), state=(), rate_hz=20.0, language=False))


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 6), st.integers(1, 3), st.integers(0, 2**31))
def test_an_invented_observation_passes_its_own_check(batch, history, seed):
    seen = invent_observation(CONTRACT, batch, history=history, seed=seed)
    check_observation(seen, CONTRACT.observation, where="invented")
    assert seen.images["left"].shape == (batch, history, 6, 4, 3) and seen.state.shape == (batch, history, 4)
    assert seen.state.dtype == np.float32 and seen.embodiment == "crane"


def test_sentences_come_in_turn():
    seen = invent_observation(CONTRACT, len(SENTENCES) + 1)
    assert seen.instruction == (*SENTENCES, SENTENCES[0])


def test_a_contract_without_senses_gives_none():
    seen = invent_observation(BLIND, 2)
    assert not seen.images and seen.state is None and seen.instruction == ()


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 9), st.integers(0, 2**31))
def test_invented_actions_keep_to_the_bounds_of_their_part(batch, seed):
    actions = invent_batch(CONTRACT, batch, seed=seed).chunk.actions
    check_actions(actions, CONTRACT.action, where="invented")
    assert actions[..., :2].min() >= -0.5 and actions[..., :2].max() <= 0.25
    assert actions[..., 2].min() >= 0.0 and actions[..., 2].max() <= 255.0


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 9), st.integers(0, 2**31))
def test_a_padded_chunk_ends_once_and_repeats_its_last_action(batch, seed):
    chunk = invent_batch(CONTRACT, batch, seed=seed).chunk
    for actions, valid in zip(chunk.actions, chunk.valid, strict=True):
        length = int(valid.sum())
        assert length >= 1 and valid[:length].all()
        assert (actions[length:] == actions[length - 1]).all()
    assert chunk.valid[0::2].all()


def test_without_padding_every_step_counts():
    assert invent_batch(CONTRACT, 8, padded=False).chunk.valid.all()
    assert not invent_batch(CONTRACT, 64).chunk.valid.all()


def test_states_ahead_come_only_when_asked_for():
    assert invent_batch(CONTRACT, 3).ahead is None
    assert invent_batch(CONTRACT, 3, ahead=2).ahead.shape == (3, 2, 4)


def test_a_seed_gives_one_batch_and_another_seed_another():
    first, again, other = (invent_batch(CONTRACT, 4, seed=seed) for seed in (5, 5, 6))
    assert np.array_equal(first.chunk.actions, again.chunk.actions)
    assert np.array_equal(first.observation.images["right"], again.observation.images["right"])
    assert not np.array_equal(first.chunk.actions, other.chunk.actions)


def test_actions_do_not_depend_on_the_history_asked_for():
    short, long = (invent_batch(CONTRACT, 4, history=history).chunk.actions for history in (1, 3))
    assert np.array_equal(short, long)


@pytest.mark.parametrize("batch", [1, 4])
def test_the_source_of_every_sample_is_named(batch):
    assert invent_batch(CONTRACT, batch).dataset == ("invented",) * batch
