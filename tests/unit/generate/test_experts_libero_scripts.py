"""LIBERO's scripts played in a scene without physics, from grasp to goal."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("mujoco")

from libero_toy import Toy, ToyCabinet, ToyOven, ToyStove, block

from embodia.generate.experts._libero_carry import find_grasp, is_held, pick, place, put
from embodia.generate.experts._libero_fixtures import is_pulled_out, pull_drawer, push_drawer, turn_knob
from embodia.generate.experts._libero_hand import OPEN, SHUT, hand_of, rotation_between, squeeze
from embodia.generate.experts._libero_microwave import put_in, shut_door
from embodia.generate.experts._libero_plan import Chore
from embodia.generate.experts.libero import _script

CAN = block([0.0, 0.1, 0.04], [0.02, 0.02, 0.04])
PLATE = block([0.1, -0.2, 0.005], [0.06, 0.06, 0.005])
DRAWER = "wooden_cabinet_1_top_region"


def test_a_picked_thing_is_held_above_the_table_and_let_go_by_opening():
    toy = Toy({"can_1": CAN})
    hand = hand_of(toy)
    toy.play(pick(hand, "can_1"))
    assert is_held(hand, "can_1") and hand.grip == SHUT
    assert toy.points("can_1")[:, 2].min() > 0.02
    toy.play(squeeze(hand, OPEN))
    assert not is_held(hand, "can_1")
    assert toy.points("can_1")[:, 2].min() == pytest.approx(0.0, abs=0.004)


def test_a_thing_that_cannot_be_gripped_is_left_and_the_script_ends():
    walls = np.concatenate(
        [block([*side, 0.1], [0.03, 0.03, 0.1]) for side in ((0.055, 0), (-0.055, 0), (0, 0.055), (0, -0.055))]
    )
    toy = Toy({"cube_1": block([0, 0, 0.02], [0.02, 0.02, 0.02]), "walls_1": walls})
    hand = hand_of(toy)
    assert find_grasp(hand, "cube_1") is None
    toy.play(pick(hand, "cube_1"))
    assert 0 < toy.steps < 20 and not toy.gripped


def test_a_carried_thing_ends_on_its_goal_at_the_height_of_what_is_below():
    toy = Toy({"can_1": CAN, "plate_1": PLATE})
    hand = hand_of(toy)
    toy.play(pick(hand, "can_1"))
    toy.play(place(hand, "can_1", toy.place("plate_1")))
    assert toy.holds(("on", "can_1", "plate_1")) and hand.grip == OPEN
    assert toy.points("can_1")[:, 2].min() == pytest.approx(0.01, abs=0.005)
    assert toy.hand[2] > 0.1


def test_nothing_is_put_down_once_it_was_lost_on_the_way():
    toy = Toy({"can_1": CAN, "plate_1": PLATE})
    hand = hand_of(toy)
    toy.play(pick(hand, "can_1"))
    toy.gripped = ""
    toy.fixed.add("can_1")
    toy.play(place(hand, "can_1", toy.place("plate_1")))
    assert hand.grip == SHUT, "whoever asked has to notice"


def test_the_way_leads_over_a_wall_with_the_load_clear_of_it():
    wall = block([0.05, -0.05, 0.1], [0.2, 0.01, 0.1])
    toy = Toy({"can_1": CAN, "plate_1": PLATE, "wall_1": wall})
    hand = hand_of(toy)
    toy.play(pick(hand, "can_1"))
    lowest = []
    for action in place(hand, "can_1", toy.place("plate_1")):
        toy.step(action)
        over = (np.abs(toy.points("can_1")[:, 1] + 0.05) < 0.01).any()
        lowest += [toy.points("can_1")[:, 2].min()] if over else []
    assert lowest and min(lowest) > 0.2


def test_a_book_is_turned_to_fit_its_slot_and_not_let_down_below_it():
    book = block([0.0, 0.1, 0.07], [0.055, 0.014, 0.07], 0.6)
    caddy = np.concatenate([block([x, -0.2, 0.08], [0.004, 0.07, 0.08]) for x in (0.06, 0.14)])
    regions = {"desk_caddy_1_back_contain_region": ([0.1, -0.2, 0.14], [0.028, 0.062, 0.06])}
    toy = Toy({"black_book_1": book, "desk_caddy_1": caddy}, regions)
    hand = hand_of(toy)
    chore = Chore(kind="carry", name="black_book_1", goal="desk_caddy_1_back_contain_region")
    toy.play(pick(hand, "black_book_1"))
    toy.play(put(hand, chore))
    points = toy.points("black_book_1")
    assert np.ptp(points[:, 0]) < 0.06 < 0.1 < np.ptp(points[:, 1])
    assert np.linalg.norm((points.min(0) + points.max(0))[:2] / 2 - [0.1, -0.2]) < 0.02


def test_the_whole_script_makes_a_goal_of_two_true_and_then_stays():
    bowl = block([0.2, 0.15, 0.03], [0.02, 0.02, 0.03])
    toy = Toy({"can_1": CAN, "plate_1": PLATE, "bowl_1": bowl, "plate_2": PLATE + np.array([0.0, 0.5, 0.0])})
    goal = (("on", "can_1", "plate_1"), ("on", "bowl_1", "plate_2"))
    actions = _script(hand_of(toy), goal)
    for _ in range(500):
        toy.step(next(actions))
    assert all(toy.holds(atom) for atom in goal)
    before = toy.hand
    toy.step(next(actions))
    assert np.linalg.norm(toy.hand - before) < 0.002


def test_nothing_else_is_begun_before_what_failed_has_succeeded():
    bowl = block([0.2, 0.15, 0.03], [0.02, 0.02, 0.03])
    toy = Toy({"can_1": CAN, "plate_1": PLATE, "bowl_1": bowl, "plate_2": PLATE + np.array([0.0, 0.5, 0.0])})
    toy.fixed.add("can_1")
    bowl = toy.place("bowl_1")
    actions = _script(hand_of(toy), (("on", "can_1", "plate_1"), ("on", "bowl_1", "plate_2")))
    for _ in range(500):
        toy.step(next(actions))
    np.testing.assert_array_equal(toy.place("bowl_1"), bowl)
    toy.fixed.clear()
    for _ in range(500):
        toy.step(next(actions))
    assert toy.holds(("on", "can_1", "plate_1")) and np.linalg.norm(toy.place("bowl_1") - bowl) > 0.1


def test_what_was_lost_is_fetched_again():
    toy = Toy({"can_1": CAN, "plate_1": PLATE})
    hand = hand_of(toy)
    chore = Chore(kind="carry", name="can_1", goal="plate_1", atom=("on", "can_1", "plate_1"))
    actions = _script(hand, (chore.atom,))
    for _ in range(80):
        toy.step(next(actions))
    toy._drop("can_1")
    toy.gripped = ""
    for _ in range(400):
        toy.step(next(actions))
    assert toy.holds(chore.atom)


@pytest.mark.parametrize("stands", [0.0, -0.05])
def test_a_drawer_is_pulled_by_its_bar_until_it_is_wide_open(stands):
    toy = ToyCabinet(stands)
    hand = hand_of(toy)
    assert not is_pulled_out(toy, DRAWER)
    toy.play(pull_drawer(hand, DRAWER, lambda: is_pulled_out(toy, DRAWER)))
    assert is_pulled_out(toy, DRAWER) and toy.stands < -0.145
    assert hand.grip == OPEN and toy.hand[1] < toy.bar()[1] - 0.05
    assert np.linalg.norm(rotation_between(hand.attitude, hand.home[1])) < 1e-9


def test_an_open_drawer_is_pushed_shut():
    toy = ToyCabinet(-0.15)
    hand = hand_of(toy)
    toy.play(push_drawer(hand, DRAWER, lambda: toy.stands > 0.0))
    assert toy.stands > 0.0
    assert toy.hand[1] < toy.bar()[1] - 0.05, "it backs off before it rises"


def test_a_knob_is_turned_by_its_blade():
    toy = ToyStove()
    toy.play(turn_knob(hand_of(toy), "flat_stove_1", lambda: toy.turned > 0.5))
    assert toy.turned > 0.5


def test_a_door_is_swept_shut_along_its_arc():
    toy = ToyOven()
    toy.play(shut_door(hand_of(toy), "microwave_1", lambda: toy.stands > -0.005))
    assert toy.stands > -0.005


def test_a_mug_goes_into_the_oven_by_its_handle():
    wall = np.concatenate(
        [block([0.045 * np.cos(a), 0.045 * np.sin(a), 0.05], [0.006, 0.006, 0.05]) for a in range(12)]
    )
    bar = np.concatenate(
        [block([0, -0.08, 0.05], [0.008, 0.004, 0.03]), block([0, -0.065, 0.05], [0.008, 0.015, 0.004])]
    )
    mug = np.concatenate([wall, bar])
    toy = Toy({"mug_1": mug, "microwave_1": block([0, 0.5, 0.01], [0.2, 0.1, 0.01])})
    toy.origins["mug_1"], toy.origins["microwave_1"] = np.zeros(3), np.array([0.0, 0.5, 0.0])
    toy.regions["microwave_1_heating_region"] = (np.array([0.0, 0.5, 0.1]), np.array([0.12, 0.08, 0.08]))
    toy.fixed.add("microwave_1")
    toy.play(put_in(hand_of(toy), "mug_1", "microwave_1", "microwave_1_heating_region"))
    assert np.linalg.norm(toy.place("mug_1")[:2] - [0.0, 0.512]) < 0.03
    assert not toy.gripped and toy.hand[1] < 0.4
