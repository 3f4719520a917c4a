"""From noted moments to texts: sub-task, plan, motion, relation, boxes, scene, questions, and a line of reasoning.

Directions are the robot's: x ahead, y left, z up. Plans and motions are written in hindsight, from what came next. The
one thing to watch: a text depends on nothing but the moments and the seed, so a data set is labelled the same anywhere.

Sources of the forms: reasoning ECoT (arXiv 2407.08693), motion RT-H (arXiv 2403.01823), relation InSpire (arXiv
2505.13888).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Point: TypeAlias = npt.NDArray[np.floating[Any]]
Box: TypeAlias = tuple[int, int, int, int]
"""Left, top, right, bottom pixel, all inside."""

KINDS = ("subtask", "plan", "motion", "relation", "boxes", "scene", "vqa", "brief", "reasoning")
AHEAD = 4
"""Moments over which a motion is read."""
_MOVED_M, _TURNED_RAD, _CLOSED = 0.008, 0.12, 0.12
_NEAR_M, _SIDE_M = 0.02, 0.06
_WAYS = (("front", "back"), ("left", "right"), ("up", "down"))
_MOTIONS = (("forward", "backward"), ("left", "right"), ("up", "down"))


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What is true at a frame.

    doing, meant  what the action is for, and the name of what it is about ("" where nothing)
    tool, yaw_rad, opening   of the gripper: place (3,) m, heading, 0 closed to 1 open
    held          name of what is in the gripper
    places        name -> place (3,) m of everything on the table
    boxes         name -> box in the first camera, of what is seen there
    pixel         of the tool point in the first camera (x, y)
    """

    doing: str
    meant: str
    tool: Point
    yaw_rad: float
    opening: float
    held: str
    places: Mapping[str, Point]
    boxes: Mapping[str, Box] = field(default_factory=dict)
    pixel: tuple[int, int] = (0, 0)


def texts(moments: Sequence[Moment], instruction: str, rng: np.random.Generator) -> dict[str, tuple[str, ...]]:
    """Kind -> a text a moment, and KIND? -> the questions that they answer; `rng` chooses the questions of "vqa"."""
    asked = [_question(moment, rng) for moment in moments]
    steps = plan(moments)
    motions = [motion(moments, place) for place in range(len(moments))]
    meant = [spoken(moment.meant) if moment.meant else "it" for moment in moments]
    return {
        "subtask": tuple(moment.doing for moment in moments),
        "subtask?": (f"{instruction} What is to be done now?",) * len(moments),
        "plan": (steps,) * len(moments),
        "plan?": (f"{instruction} How is it done?",) * len(moments),
        "motion": tuple(motions),
        "motion?": tuple(f"Which way does the arm go to {moment.doing}?" for moment in moments),
        "relation": tuple(relation(moment) for moment in moments),
        "relation?": tuple(f"In which direction from the gripper is {name}?" for name in meant),
        "boxes": tuple(boxes(moment) for moment in moments),
        "boxes?": ("Where are the things in the picture?",) * len(moments),
        "scene": tuple(scene(moment) for moment in moments),
        "scene?": ("What is on the table?",) * len(moments),
        "vqa": tuple(answer for _, answer in asked),
        "vqa?": tuple(question for question, _ in asked),
        "brief": tuple(
            f"SUBTASK: {moment.doing} MOVE: {moved}" for moment, moved in zip(moments, motions, strict=True)
        ),
        "reasoning": tuple(
            reasoning(moment, instruction, steps, moved) for moment, moved in zip(moments, motions, strict=True)
        ),
    }


def spoken(name: str) -> str:
    """The name of a thing as it is said: "the red cube" for red-cube."""
    return f"the {name.replace('-', ' ')}"


def plan(moments: Sequence[Moment]) -> str:
    """The different sub-tasks of an episode in the order in which they began, numbered."""
    steps = dict.fromkeys(moment.doing for moment in moments)
    return " ".join(f"{number}. {step}" for number, step in enumerate(steps, start=1))


def motion(moments: Sequence[Moment], place: int) -> str:
    """What arm and gripper do over the next moments: the strong directions, a turn, and whether the gripper moves."""
    now, then = moments[place], moments[min(place + AHEAD, len(moments) - 1)]
    words = _directions(then.tool - now.tool, _MOTIONS, _MOVED_M)
    found = [f"move arm {' and '.join(words)}"] if words else []
    turn = (then.yaw_rad - now.yaw_rad + np.pi) % (2 * np.pi) - np.pi
    if abs(turn) > _TURNED_RAD:
        found.append(f"rotate gripper {'left' if turn > 0 else 'right'}")
    if abs(then.opening - now.opening) > _CLOSED:
        found.append("open gripper" if then.opening > now.opening else "close gripper")
    return ", ".join(found) or "stay"


def relation(moment: Moment) -> str:
    """Where what is meant lies from the gripper: directions, the farthest first; "grasped", "here", or "nowhere"."""
    if not moment.meant or moment.meant not in moment.places:
        return "nowhere"
    if moment.held == moment.meant:
        return "grasped"
    offset = moment.places[moment.meant] - moment.tool
    order = np.argsort(-np.abs(offset), kind="stable")
    words = [_WAYS[axis][0 if offset[axis] > 0 else 1] for axis in order if abs(offset[axis]) > _NEAR_M]
    return ", ".join(words) or "here"


def boxes(moment: Moment) -> str:
    """Everything that is seen, with its box in pixels."""
    found = [f"{spoken(name)} [{' '.join(map(str, box))}]" for name, box in moment.boxes.items()]
    return ", ".join(found) or "nothing"


def scene(moment: Moment) -> str:
    """Everything on the table from left to right, and what is held."""
    order = sorted(moment.places, key=lambda name: -float(moment.places[name][1]))
    found = [f"{spoken(name)} {_side(moment.places[name])}" for name in order if name != moment.held]
    return ", ".join([*found, *([f"{spoken(moment.held)} in the gripper"] if moment.held else [])]) or "nothing"


def reasoning(moment: Moment, instruction: str, steps: str, moved: str) -> str:
    """Task, plan, sub-task, relation, move, place of the gripper, boxes, each behind its tag."""
    x, y = moment.pixel
    return (
        f"TASK: {instruction} PLAN: {steps} SUBTASK: {moment.doing} RELATION: {relation(moment)} MOVE: {moved} "
        f"GRIPPER POSITION: [{x} {y}] VISIBLE OBJECTS: {boxes(moment)}"
    )


def _directions(offset: Point, words: Sequence[tuple[str, str]], least: float) -> list[str]:
    """The axes along which most of the way goes, half as far as the farthest at least."""
    far = max(least, 0.5 * float(np.abs(offset).max()))
    return [words[axis][0 if offset[axis] > 0 else 1] for axis in range(3) if abs(offset[axis]) >= far]


def _side(place: Point) -> str:
    if abs(place[1]) < _SIDE_M:
        return "in the middle"
    return "on the left" if place[1] > 0 else "on the right"


def _question(moment: Moment, rng: np.random.Generator) -> tuple[str, str]:
    """One of the questions that can be asked now, with its answer."""
    fitting = [made for ask in _QUESTIONS if (made := ask(moment, rng)) is not None]
    return fitting[int(rng.integers(len(fitting)))]


def _ask_held(moment: Moment, rng: np.random.Generator) -> tuple[str, str] | None:
    return "What is in the gripper?", spoken(moment.held) if moment.held else "nothing"


def _ask_open(moment: Moment, rng: np.random.Generator) -> tuple[str, str] | None:
    return "Is the gripper open?", "yes" if moment.opening > 0.5 else "no"


def _ask_count(moment: Moment, rng: np.random.Generator) -> tuple[str, str] | None:
    return "How many things are on the table?", str(len(moment.places))


def _ask_nearest(moment: Moment, rng: np.random.Generator) -> tuple[str, str] | None:
    if not moment.places:
        return None
    near = min(moment.places, key=lambda name: float(np.linalg.norm(moment.places[name] - moment.tool)))
    return "What is nearest to the gripper?", spoken(near)


def _ask_left(moment: Moment, rng: np.random.Generator) -> tuple[str, str] | None:
    """Which of two is farther left, where that is clear."""
    names = sorted(moment.places)
    if len(names) < 2:
        return None
    first, second = (names[place] for place in rng.choice(len(names), 2, replace=False))
    apart = float(moment.places[first][1] - moment.places[second][1])
    if abs(apart) < _NEAR_M:
        return None
    question = f"Which is farther left, {spoken(first)} or {spoken(second)}?"
    return question, spoken(first if apart > 0 else second)


def _ask_box(moment: Moment, rng: np.random.Generator) -> tuple[str, str] | None:
    if not moment.boxes:
        return None
    name = sorted(moment.boxes)[int(rng.integers(len(moment.boxes)))]
    return f"Where is {spoken(name)} in the picture?", f"[{' '.join(map(str, moment.boxes[name]))}]"


def _ask_side(moment: Moment, rng: np.random.Generator) -> tuple[str, str] | None:
    loose = sorted(name for name in moment.places if name != moment.held)
    if not loose:
        return None
    name = loose[int(rng.integers(len(loose)))]
    return f"On which side is {spoken(name)}?", _side(moment.places[name])


_QUESTIONS: tuple[Callable[[Moment, np.random.Generator], tuple[str, str] | None], ...] = (
    _ask_held,
    _ask_open,
    _ask_count,
    _ask_nearest,
    _ask_left,
    _ask_box,
    _ask_side,
)
