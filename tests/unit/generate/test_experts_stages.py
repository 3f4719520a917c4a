"""The scripts that experts follow, by property: how stages end, what raises a place."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from embodia.generate.experts._stages import Script, Stage, no_turn, raised


def test_raising_moves_upwards_only_and_leaves_the_place_alone():
    place = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(raised(place, 0.5), [1, 2, 3.5])
    np.testing.assert_allclose(raised([[0, 0, 0], [1, 1, 1]], -1.0), [[0, 0, -1], [1, 1, 0]])
    assert place[2] == 3.0 and no_turn(None) == 0.0


def chain(count, hold):
    def at(index):
        return lambda world: np.array([[float(index), 0.0, 0.0]])

    return tuple(Stage(where=at(index), grip=float(index), near_m=0.2, hold=hold) for index in range(count))


@given(st.integers(1, 5), st.integers(0, 3), st.floats(0.1, 1.0))
def test_a_hand_that_does_as_told_walks_through_every_stage_in_order(count, hold, speed):
    script, hand, grips = Script(chain(count, hold)), np.zeros((1, 3)), []
    for _ in range(count * (hold + 40)):
        move, _, grip = script.ask(None, hand)
        grips.append(grip)
        hand = hand + speed * move
    assert grips == sorted(grips) and set(grips) == set(range(count))
    np.testing.assert_allclose(hand[0, 0], count - 1, atol=0.2)


@given(st.integers(0, 6))
def test_a_stage_is_held_for_as_long_as_it_says(hold):
    script, here = Script(chain(2, hold)), np.zeros((1, 3))
    grips = [script.ask(None, here)[2] for _ in range(hold + 3)]
    assert grips == [0.0] * (hold + 1) + [1.0] * 2


def test_a_turn_left_to_do_keeps_a_stage_open():
    todo = {"turn": np.array([0.5])}
    stages = (Stage(where=lambda w: np.zeros((1, 3)), grip=0, turn=lambda w: w["turn"], near_rad=0.1), *chain(2, 0)[1:])
    script, here = Script(stages), np.zeros((1, 3))
    assert [script.ask(todo, here)[1][0] for _ in range(3)] == [0.5] * 3
    todo["turn"] = np.array([-0.09])
    script.ask(todo, here)
    assert script.ask(todo, here)[2] == 1.0


def test_one_turn_serves_both_hands():
    hands = np.zeros((2, 3))
    stage = Stage(where=lambda world: hands, grip=1.0, turn=lambda world: np.array([0.25]))
    np.testing.assert_allclose(Script((stage,)).ask(None, hands)[1], [0.25, 0.25])


def test_a_target_that_moves_is_followed():
    script = Script((Stage(where=lambda world: world, grip=1.0),))
    for step in range(4):
        move, _, _ = script.ask(np.full((1, 3), float(step)), np.zeros((1, 3)))
        np.testing.assert_allclose(move, step)
