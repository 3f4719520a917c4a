"""Which script does a task of Desk: one short function a verb, composed of pushes and carries.

The one thing to watch: a script may begin in any state of the world, because it is begun again after a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from embodia.envs.desk.tasks._spoken import Spoken
from embodia.envs.desk.tasks.place import inside
from embodia.envs.desk.tasks.recall import SHOWN_S, wanted
from embodia.envs.desk.tasks.sort import bin_for
from embodia.generate.experts import _desk_carry as carry
from embodia.generate.experts import _desk_detour as detour
from embodia.generate.experts import _desk_push as push
from embodia.generate.experts._desk_hand import Hand, above, spoken, travel, wait, withdraw
from embodia.generate.experts._desk_motion import Actions


def _reach(hand: Hand, task: Spoken) -> Actions:
    hand.say("reach for {}", task.target)
    yield from travel(hand, above(hand.world, task.target, 0.015), near_m=0.012)


def _push(hand: Hand, task: Spoken) -> Actions:
    if task.goal:
        place = hand.world.pose(task.goal)[0]
        yield from push.stroke(hand, task.target, place, near_m=0.015, way=f"onto {spoken(task.goal)}")
    else:
        yield from push.stroke_side(hand, task.target, task.request.place)


def _place(hand: Hand, task: Spoken) -> Actions:
    height = {"bowl": 0.065, "bin": 0.065, "mark": 0.03}[task.goal]
    yield from carry.put(hand, task.target, task.goal, height)


def _stack(hand: Hand, task: Spoken) -> Actions:
    sizes = {item.name: item.size_m[-1] for item in hand.world.scene.things}
    yield from carry.put(hand, task.target, task.goal, sizes[task.target] + sizes[task.goal] + 0.004)


def _open(hand: Hand, task: Spoken) -> Actions:
    yield from push.pull_drawer(hand, task.target)


def _close(hand: Hand, task: Spoken) -> Actions:
    yield from push.push_drawer(hand, task.target)


def _stow(hand: Hand, task: Spoken) -> Actions:
    yield from carry.put_in_drawer(hand, task.target, task.goal)


def _press(hand: Hand, task: Spoken) -> Actions:
    yield from push.press(hand, task.target, task.request.manner)


def _switch(hand: Hand, task: Spoken) -> Actions:
    yield from push.flip(hand, task.target, 1.0 if task.request.verb == "turn-on" else -1.0)


def _insert(hand: Hand, task: Spoken) -> Actions:
    yield from carry.insert(hand, task.target, task.goal)


def _pour(hand: Hand, task: Spoken) -> Actions:
    yield from carry.pour(hand, task.target, task.goal)


def _sort(hand: Hand, task: Spoken) -> Actions:
    first, second = task.request.colour.split("-")
    for item in hand.world.scene.things:
        goal = bin_for(task.goal, (first, second), item.name)
        if not inside(hand.world, item.name, goal):
            yield from carry.put_in_bin(hand, item.name, goal)


def _recall_lights(hand: Hand, task: Spoken) -> Actions:
    order = wanted(task.goal, hand.world)
    yield from wait(hand, round(len(order) * SHOWN_S * hand.world.body.rate_hz))
    for name in order:
        yield from push.press(hand, name)


def _recall_place(hand: Hand, task: Spoken) -> Actions:
    yield from wait(hand, round(SHOWN_S * hand.world.body.rate_hz))
    yield from _push(hand, task)


VERBS: Mapping[str, Callable[[Hand, Spoken], Actions]] = MappingProxyType(
    {
        "reach": _reach,
        "push": _push,
        "place": _place,
        "stack": _stack,
        "open": _open,
        "close": _close,
        "stow": _stow,
        "press": _press,
        "turn-on": _switch,
        "turn-off": _switch,
        "insert": _insert,
        "pour": _pour,
        "recall-lit": _recall_lights,
        "recall-unlit": _recall_lights,
        "recall-order": _recall_lights,
        "recall-reversed": _recall_lights,
        "recall-place": _recall_place,
        "detour-reach": detour.reach_behind,
        "detour-carry": detour.carry_behind,
        "sort-colour": _sort,
        "sort-shape": _sort,
    }
)
"""Verb -> its script."""


def do(hand: Hand, task: Spoken) -> Actions:
    """What the verb of a task says, begun with free hands."""
    yield from withdraw(hand)
    yield from VERBS[task.request.verb](hand, task)


_FAMILIES = (
    *("reach", "push", "place", "stack", "drawer", "button", "switch", "peg", "pour", "sort", "recall", "detour"),
    "chain",
)
SCRIPTS: Mapping[str, Callable[[Hand, Spoken], Actions]] = MappingProxyType(dict.fromkeys(_FAMILIES, do))
"""Family -> its script."""
