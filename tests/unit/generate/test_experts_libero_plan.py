"""Goals of the benchmark's own tasks as chores in order."""

from __future__ import annotations

import pytest

from embodia.generate.experts._libero_plan import Chore, chores, drawer_of


def brief(goal):
    return [(chore.kind, chore.name, chore.goal) for chore in chores(goal)]


@pytest.mark.parametrize(
    ("region", "drawer"),
    [
        ("wooden_cabinet_1_top_region", ("wooden_cabinet_1", "top")),
        ("white_cabinet_12_bottom_region", ("white_cabinet_12", "bottom")),
        ("wooden_cabinet_1_top_side", None),
        ("wine_rack_1_top_region", None),
        ("flat_stove_1_cook_region", None),
        ("microwave_1", None),
    ],
)
def test_only_a_cabinets_levels_are_drawers(region, drawer):
    assert drawer_of(region) == drawer


def test_one_thing_on_another_is_carried():
    found = chores((("on", "bowl_1", "plate_1"),))
    assert found == (Chore(kind="carry", name="bowl_1", goal="plate_1", atom=("on", "bowl_1", "plate_1")),)


def test_a_drawer_is_opened_before_something_goes_in():
    goal = (("in", "akita_black_bowl_1", "wooden_cabinet_1_top_region"),)
    assert brief(goal) == [
        ("open", "wooden_cabinet_1_top_region", ""),
        ("carry", "akita_black_bowl_1", "wooden_cabinet_1_top_region"),
    ]
    assert chores(goal)[0].atom == ()


def test_a_drawer_that_the_goal_opens_is_opened_once():
    goal = (("in", "bowl_1", "wooden_cabinet_1_top_region"), ("open", "wooden_cabinet_1_top_region"))
    assert [kind for kind, _, _ in brief(goal)] == ["open", "carry"]
    assert chores(goal)[0].atom == ("open", "wooden_cabinet_1_top_region")


def test_closing_comes_last_whatever_the_goal_says_first():
    goal = (("close", "white_cabinet_1_bottom_region"), ("in", "bowl_1", "white_cabinet_1_bottom_region"))
    assert [kind for kind, _, _ in brief(goal)] == ["open", "carry", "close"]
    oven = (("in", "mug_1", "microwave_1_heating_region"), ("close", "microwave_1"))
    assert [kind for kind, _, _ in brief(oven)] == ["carry", "close"]


def test_the_stove_is_turned_on_before_pots_are_in_the_way():
    goal = (
        ("on", "moka_pot_1", "flat_stove_1_cook_region"),
        ("on", "moka_pot_2", "flat_stove_1_cook_region"),
        ("turnon", "flat_stove_1"),
    )
    assert [kind for kind, _, _ in brief(goal)] == ["turn", "carry", "carry"]


def test_things_that_share_a_goal_know_their_shares():
    goal = (("in", "a_1", "basket_1"), ("in", "b_1", "basket_1"), ("on", "c_1", "plate_1"))
    assert [(chore.part, chore.parts) for chore in chores(goal)] == [(0, 2), (1, 2), (0, 1)]


def test_what_no_script_can_do_is_left_out():
    assert chores((("incontact", "a_1", "b_1"), ("on", "a_1", "b_1")))[0].kind == "carry"
    assert chores(()) == ()
