"""Texts from hand-made moments: each says exactly what is true, in the robot's directions."""

from dataclasses import replace

import numpy as np
import pytest

from embodia.generate.label import _texts
from embodia.generate.label._texts import KINDS, Moment, boxes, motion, plan, reasoning, relation, scene, texts

PLACES = {
    "red-cube": np.array([0.1, 0.2, 0.02]),
    "blue-ball": np.array([0.0, -0.1, 0.02]),
    "bowl": np.array([0.0, 0.0, 0.0]),
}


def moment(**changes):
    facts = {
        "doing": "move above the red cube",
        "meant": "red-cube",
        "tool": np.array([0.0, 0.0, 0.2]),
        "yaw_rad": 0.0,
        "opening": 1.0,
        "held": "",
        "places": PLACES,
        "boxes": {"red-cube": (1, 2, 5, 6)},
        "pixel": (30, 9),
    }
    return Moment(**(facts | changes))


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        ((0.0, 0.0, 0.2), "left, down, front"),
        ((0.1, 0.2, 0.2), "down"),
        ((0.3, 0.2, 0.02), "back"),
        ((0.1, 0.5, 0.02), "right"),
        ((0.1, 0.2, -0.3), "up"),
        ((0.1, 0.21, 0.03), "here"),
    ],
)
def test_a_relation_names_the_farthest_direction_first(tool, words):
    assert relation(moment(tool=np.array(tool))) == words


def test_what_is_held_is_grasped_and_what_is_not_there_is_nowhere():
    assert relation(moment(held="red-cube")) == "grasped"
    assert relation(moment(held="blue-ball")) == "left, down, front"
    assert relation(moment(meant="")) == relation(moment(meant="green-cube")) == "nowhere"


@pytest.mark.parametrize(
    ("moved", "turned", "opened", "words"),
    [
        ((0.0, 0.1, -0.09), 0.0, 0.0, "move arm left and down"),
        ((-0.1, 0.02, 0.0), 0.0, 0.0, "move arm backward"),
        ((0.001, 0.002, 0.0), 0.0, 0.0, "stay"),
        ((0.0, 0.0, 0.0), 0.5, 0.0, "rotate gripper left"),
        ((0.0, 0.0, 0.05), 0.0, -0.8, "move arm up, close gripper"),
        ((0.0, 0.0, 0.0), -0.5, 0.8, "rotate gripper right, open gripper"),
        ((0.0, 0.0, 0.0), 2 * np.pi, 0.0, "stay"),
    ],
)
def test_a_motion_is_what_comes_next(moved, turned, opened, words):
    now = moment(opening=0.9 if opened < 0 else 0.1)
    then = replace(now, tool=now.tool + moved, yaw_rad=turned, opening=now.opening + opened)
    assert motion([now] * 3 + [then] * 8, 0 if _texts.AHEAD > 2 else 2) == words
    assert motion([now, then], 1) == "stay", "nothing comes after the last moment"


def test_a_plan_has_every_step_once_in_order():
    steps = ["move", "grasp", "move", "lift"]
    assert plan([moment(doing=step) for step in steps]) == "1. move 2. grasp 3. lift"


def test_a_scene_goes_from_left_to_right():
    assert scene(moment()) == "the red cube on the left, the bowl in the middle, the blue ball on the right"
    held = scene(moment(held="red-cube"))
    assert held == "the bowl in the middle, the blue ball on the right, the red cube in the gripper"
    assert scene(moment(places={})) == boxes(moment(boxes={})) == "nothing"


def test_reasoning_holds_every_part_behind_its_tag():
    line = reasoning(moment(), "Lift it.", "1. a 2. b", "move arm up")
    assert line == (
        "TASK: Lift it. PLAN: 1. a 2. b SUBTASK: move above the red cube RELATION: left, down, front "
        "MOVE: move arm up GRIPPER POSITION: [30 9] VISIBLE OBJECTS: the red cube [1 2 5 6]"
    )


def test_every_kind_has_a_text_a_moment_and_most_have_questions():
    moments = [moment(), moment(doing="grasp the red cube", held="red-cube", opening=0.2)]
    found = texts(moments, "Lift it.", np.random.default_rng(0))
    assert {name for name in found if not name.endswith("?")} == set(KINDS)
    assert all(len(column) == 2 and all(column) for column in found.values())
    assert {name for name in KINDS if name + "?" not in found} == {"brief", "reasoning"}
    assert found["relation?"][0] == "In which direction from the gripper is the red cube?"
    assert found["brief"][1] == "SUBTASK: grasp the red cube MOVE: stay"


ANSWERS = {
    "What is in the gripper?": {"the blue ball"},
    "Is the gripper open?": {"no"},
    "How many things are on the table?": {"3"},
    "What is nearest to the gripper?": {"the bowl"},
    "Which is farther left, the red cube or the bowl?": {"the red cube"},
    "Which is farther left, the bowl or the red cube?": {"the red cube"},
    "Where is the red cube in the picture?": {"[1 2 5 6]"},
    "On which side is the red cube?": {"on the left"},
}


def test_questions_are_answered_truly():
    now = moment(held="blue-ball", opening=0.3)
    rng, seen = np.random.default_rng(0), {}
    for _ in range(400):
        question, answer = _texts._question(now, rng)
        seen.setdefault(question, set()).add(answer)
    assert ANSWERS.items() <= seen.items() and all(len(answers) == 1 for answers in seen.values())
    assert "On which side is the blue ball?" not in seen


def test_what_cannot_be_asked_is_not_asked():
    bare = moment(places={}, boxes={}, meant="")
    rng = np.random.default_rng(0)
    assert {_texts._question(bare, rng)[0] for _ in range(60)} == {
        "What is in the gripper?",
        "Is the gripper open?",
        "How many things are on the table?",
    }


def test_equal_seeds_ask_equal_questions():
    moments = [moment()] * 30
    first, again, other = (texts(moments, "x", np.random.default_rng(seed))["vqa?"] for seed in (0, 0, 1))
    assert first == again != other and len(set(first)) > 3
