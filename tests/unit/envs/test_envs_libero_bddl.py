from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embodia.core.errors import CorruptFileError, MissingFileError
from embodia.envs.adapters._libero_bddl import exchangeable, goal_in_scene, parse, read

TABLE = """
(define (problem LIBERO_Tabletop_Manipulation)
  (:domain robosuite)
  (:language {sentence})
  (:regions
    (left_region (:target main_table) (:ranges ((0.0 -0.1 0.1 0.0))))
    (right_region (:target main_table) (:ranges ((0.0 0.1 0.1 0.2))) (:yaw_rotation ((3.14 3.14))))
    (middle_region (:target main_table) (:ranges (({middle}))))
    (cook_region (:target flat_stove_1))
  )
  (:fixtures main_table - table flat_stove_1 - flat_stove)
  (:objects {objects})
  (:obj_of_interest bowl_1)
  (:init {init})
  (:goal (And {goal}))
)
"""
ODD_TEXT = st.text(alphabet="()- \n;aB1:", max_size=60) | st.text(max_size=60)
TWO_BOWLS = "bowl_1 bowl_2 - bowl plate_1 - plate"


def task(
    sentence="put the bowl on the plate",
    objects="bowl_1 - bowl plate_1 - plate milk_1 - milk",
    init="(On bowl_1 main_table_left_region) (On plate_1 main_table_right_region)",
    goal="(On bowl_1 plate_1)",
    middle="0.0 0.0 0.1 0.1",
):
    return parse(TABLE.format(sentence=sentence, objects=objects, init=init, goal=goal, middle=middle), "a.bddl")


def bowls(first, second):
    init = f"(On bowl_1 main_table_{first}_region) (On bowl_2 main_table_{second}_region)"
    return task(f"pick the bowl at the {first}", TWO_BOWLS, init, "(On bowl_1 plate_1)")


def test_everything_that_the_file_says_is_read():
    found = task("Open the Stove\u2019s door")
    assert found.workspace == "libero_tabletop_manipulation"
    assert found.sentence == "open the stove's door"
    assert found.fixtures == {"main_table": "table", "flat_stove_1": "flat_stove"}
    assert found.objects == {"bowl_1": "bowl", "plate_1": "plate", "milk_1": "milk"}
    assert set(found.regions) == {
        "main_table_left_region",
        "main_table_right_region",
        "main_table_middle_region",
        "flat_stove_1_cook_region",
    }
    assert found.regions["flat_stove_1_cook_region"].target == "flat_stove_1"
    assert found.goal == (("on", "bowl_1", "plate_1"),)
    assert found.start_of("bowl_1") == "main_table_left_region" and found.start_of("milk_1") == ""


def test_comments_are_no_part_of_the_sentence():
    assert task("put it away ; not the bowl\n").sentence == "put it away"


def test_several_objects_of_one_category():
    assert task(objects=TWO_BOWLS).objects == {"bowl_1": "bowl", "bowl_2": "bowl", "plate_1": "plate"}


def test_scene_text_ignores_sentence_and_goal_and_nothing_else():
    assert task().scene == task("another sentence", goal="(Turnon flat_stove_1)").scene
    assert task().scene != task(middle="0.0 0.0 0.1 0.2").scene
    assert task().scene != task(init="(On bowl_1 main_table_right_region)").scene


@pytest.mark.parametrize(
    ("change", "leaf"),
    [
        (lambda text: text.replace("(:language put the bowl on the plate)", "(:language)"), ":language"),
        (lambda text: text.replace("(:language put the bowl on the plate)", ""), ":language"),
        (lambda text: text.replace("(And (On bowl_1 plate_1))", "(Or (On bowl_1 plate_1))"), ":goal"),
        (lambda text: text.replace("(And (On bowl_1 plate_1))", "(And)"), ":goal"),
        (lambda text: text.replace("(:target flat_stove_1)", ""), ":regions"),
        (lambda text: text.replace("plate_1 - plate milk_1 - milk", "plate_1"), ":objects"),
        (lambda text: text.replace("(On bowl_1 main_table_left_region)", "(On)"), ":init"),
        (lambda text: text.replace("(problem LIBERO_Tabletop_Manipulation)", ""), "problem"),
    ],
)
def test_a_wrong_file_is_an_error_that_names_file_and_section(change, leaf):
    good = TABLE.format(
        sentence="put the bowl on the plate",
        objects="bowl_1 - bowl plate_1 - plate milk_1 - milk",
        init="(On bowl_1 main_table_left_region)",
        goal="(On bowl_1 plate_1)",
        middle="0 0 1 1",
    )
    parse(good)
    with pytest.raises(CorruptFileError) as caught:
        parse(change(good), "a.bddl")
    assert caught.value.file == "a.bddl" and caught.value.leaf == leaf


@pytest.mark.parametrize("text", ["", "(", ")", "(define", "(define)) (", "define", "(define) (define)", "(" * 100])
def test_broken_brackets_are_typed_errors(text):
    with pytest.raises(CorruptFileError, match="a.bddl"):
        parse(text, "a.bddl")


@given(slot=st.sampled_from(["sentence", "objects", "init", "goal", "middle"]), text=ODD_TEXT)
def test_any_text_is_a_problem_or_a_typed_error(slot, text):
    good = {"sentence": "go", "objects": TWO_BOWLS, "init": "(On bowl_1 plate_1)", "goal": "(Up bowl_1)", "middle": "0"}
    for candidate in (text, TABLE.format(**{**good, slot: text})):
        try:
            found = parse(candidate, "a.bddl")
        except CorruptFileError as error:
            assert error.file == "a.bddl"
        else:
            assert found.sentence and all(2 <= len(atom) <= 3 for atom in (*found.goal, *found.init))
            goal_in_scene(found, task())


def test_objects_on_plain_places_may_trade():
    on_top = "(On bowl_1 main_table_left_region) (On plate_1 main_table_right_region) (On milk_1 plate_1)"
    assert exchangeable(task(init=on_top)) == ("bowl_1", "plate_1")
    assert (
        exchangeable(task(init="(On bowl_1 flat_stove_1_cook_region) (On flat_stove_1 main_table_left_region)")) == ()
    )


def test_what_the_sentence_finds_by_its_place_stays():
    placed = (
        "(On bowl_1 main_table_left_region) (On bowl_2 main_table_right_region) (On plate_1 main_table_middle_region)"
    )
    assert exchangeable(task(objects=TWO_BOWLS, init=placed)) == ("bowl_2", "plate_1")
    assert exchangeable(task(objects=TWO_BOWLS, init=placed, goal="(On bowl_1 bowl_2)")) == ("plate_1",)


def test_what_names_a_place_of_the_task_or_is_filled_stays():
    text = TABLE.format(
        sentence="put the bowl next to the plate",
        objects="bowl_1 - bowl plate_1 - plate milk_1 - milk",
        init="".join(
            f"(On {name}_1 main_table_{place}_region)"
            for name, place in (("bowl", "left"), ("plate", "far"), ("milk", "middle"))
        ),
        goal="(On bowl_1 main_table_far_right_region)",
        middle="0 0 1 1",
    )
    places = (("far", "main_table"), ("far_right", "main_table"), ("inside", "milk_1"))
    further = " ".join(f"({name}_region (:target {target}))" for name, target in places) + " (cook_region"
    text = text.replace("(cook_region", further)
    assert exchangeable(parse(text)) == ("bowl_1", "milk_1")
    filled = text.replace("(And (On bowl_1 main_table_far_right_region))", "(And (In bowl_1 milk_1_inside_region))")
    assert exchangeable(parse(filled)) == ("bowl_1", "plate_1")


def test_missing_and_unreadable_files(tmp_path: Path):
    with pytest.raises(MissingFileError, match="none.bddl"):
        read(tmp_path / "none.bddl")
    bad = tmp_path / "bad.bddl"
    bad.write_bytes(b"\xff\xfe(define)")
    with pytest.raises(CorruptFileError, match="bad.bddl"):
        read(bad)


def test_partner_in_an_equal_scene_keeps_its_goal():
    asked = task("turn on the stove", goal="(Turnon flat_stove_1)")
    assert goal_in_scene(asked, task()) == (("turnon", "flat_stove_1"),)


def test_partner_with_other_neighbours_is_found_by_category():
    asked = task(objects="milk_1 - milk plate_1 - plate", goal="(On milk_1 plate_1)", init="")
    scene = task(objects="plate_1 - plate milk_7 - milk bowl_1 - bowl")
    assert goal_in_scene(asked, scene) == (("on", "milk_7", "plate_1"),)


def test_among_equal_objects_the_start_decides():
    assert goal_in_scene(bowls("right", "left"), bowls("left", "right")) == (("on", "bowl_2", "plate_1"),)
    assert goal_in_scene(bowls("left", "middle"), bowls("left", "right")) is None, "the same bowl: nothing new is asked"
    assert goal_in_scene(bowls("middle", "left"), bowls("left", "right")) is None, "no bowl starts there"


def test_a_place_of_the_same_name_elsewhere_is_another_place():
    asked = task(goal="(On bowl_1 main_table_middle_region)")
    assert goal_in_scene(asked, task()) == (("on", "bowl_1", "main_table_middle_region"),)
    assert goal_in_scene(asked, task(middle="0.0 0.0 0.3 0.3")) is None


def test_no_partner_without_the_thing_or_when_nothing_is_left_to_do():
    asked = task(goal="(On milk_1 plate_1)")
    assert goal_in_scene(asked, task(objects="bowl_1 - bowl plate_1 - plate")) is None
    assert goal_in_scene(task(), task("say it otherwise")) is None
    fulfilled = task(init="(On milk_1 plate_1)", goal="(On bowl_1 plate_1)")
    assert goal_in_scene(asked, fulfilled) is None


def test_parts_of_a_goal_in_another_order_are_the_same_goal():
    first = task(goal="(On bowl_1 plate_1) (Turnon flat_stove_1)")
    second = task(goal="(Turnon flat_stove_1) (On bowl_1 plate_1)")
    assert goal_in_scene(second, first) is None
