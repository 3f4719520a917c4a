"""Memory: something is shown for half a second, then it is gone, and what was shown decides what is to be done.

One of two buttons lights up, or both in turn, or a mark is on the table; afterwards the picture says nothing any more.
In a scene the first fixture is what is shown first, which nobody sees. The one thing to watch: lights are a function of
the time since the start and are set when the predicate is asked, which an environment does at every step.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from embodia.envs.desk.grammar import COLOURS, Request
from embodia.envs.desk.scenes import Rgba, Scene
from embodia.envs.desk.tasks import Memory
from embodia.envs.desk.tasks._spoken import Spoken, where_things_are
from embodia.envs.desk.tasks._table import Table, rival
from embodia.envs.desk.tasks.button import PRESSED, button
from embodia.envs.desk.tasks.push import lay as lay_push
from embodia.envs.desk.tasks.push import on_mark
from embodia.envs.desk.world import World

SHOWN_S = 0.5
"""How long each thing is shown."""
LIT: Rgba = (1.0, 1.0, 0.9, 1.0)
_RELEASED, _RADIUS_M, _TICK_S = 0.3, 0.09, 1e-6
_TOO_SOON = ""
"""In place of what was pressed before the show was over: it spoils the episode."""
_TWINS = {"lit": "unlit", "unlit": "lit", "order": "reversed", "reversed": "order"}


def buttons(world: World) -> tuple[str, str]:
    """The two buttons, the one that lights up first before the other."""
    first, second = (item.name for item in world.scene.fixtures)
    return first, second


def wanted(ask: str, world: World) -> tuple[str, ...]:
    """The buttons to be pressed, in order."""
    first, second = buttons(world)
    return {"lit": (first,), "unlit": (second,), "order": (first, second), "reversed": (second, first)}[ask]


def _lay_buttons(rng: np.random.Generator) -> Scene:
    table = Table(rng)
    pair = rng.choice(list(COLOURS), 2, replace=False)
    return Scene(fixtures=tuple(button(str(colour), table.spot(_RADIUS_M)) for colour in pair))


def _paint(world: World, body: str, rgba: Rgba) -> None:
    index = world.model.body(body).id
    world.model.geom_rgba[world.model.geom_bodyid == index] = rgba


def _turn(world: World, memory: Memory) -> int:
    """How many times `SHOWN_S` have passed; sums of time steps may fall short by a rounding."""
    return int((world.data.time - memory["since_s"] + _TICK_S) // SHOWN_S)


def _show_lights(count: int, world: World, memory: Memory) -> bool:
    """Light the buttons up or not, by the time; whether the show is over."""
    turn = _turn(world, memory)
    for number, item in enumerate(world.scene.fixtures):
        _paint(world, f"fixture{number}/part", LIT if number == turn and number < count else item.rgba)
    return turn >= count


def _begin_lights(count: int, world: World) -> Memory:
    memory: Memory = {"since_s": float(world.data.time), "pressed": (), "down": ""}
    _show_lights(count, world, memory)
    return memory


def _note_presses(world: World, memory: Memory) -> None:
    for name in buttons(world):
        if world.joint(name) > PRESSED and memory["down"] != name:
            memory["pressed"], memory["down"] = (*memory["pressed"], name), name
        elif world.joint(name) < _RELEASED and memory["down"] == name:
            memory["down"] = ""


def _repeated(ask: str, count: int, world: World, memory: Memory) -> bool:
    over = _show_lights(count, world, memory)
    _note_presses(world, memory)
    if not over and memory["pressed"]:
        memory["pressed"] = (_TOO_SOON,)
    return over and memory["pressed"] == wanted(ask, world)


def _hide_mark(world: World, memory: Memory) -> bool:
    over = _turn(world, memory) >= 1
    mark = world.scene.fixtures[0].rgba
    _paint(world, "fixture0", (*mark[:3], 0.0) if over else mark)
    return over


def _begin_mark(world: World) -> Memory:
    memory = {**where_things_are(world), "since_s": float(world.data.time)}
    _hide_mark(world, memory)
    return memory


def _on_hidden_mark(target: str, others: tuple[str, ...], world: World, memory: Memory) -> bool:
    over = _hide_mark(world, memory)
    return over and on_mark(target, others, world, memory)


def _lights(ask: str) -> Spoken:
    count = 1 if ask in ("lit", "unlit") else 2
    return Spoken(
        name=f"recall/{ask}",
        family="recall",
        request=Request(verb=f"recall-{ask}"),
        partners=(f"recall/{_TWINS[ask]}",),
        lay=_lay_buttons,
        holds=partial(_repeated, ask, count),
        remember=partial(_begin_lights, count),
        goal=ask,
    )


def _place(colour: str) -> Spoken:
    other = rival(colour, "cylinder", 1)
    target, beside = f"{colour}-cylinder", "-".join(other)
    return Spoken(
        name=f"recall/place/{target}",
        family="recall",
        request=Request(verb="recall-place", colour=colour, shape="cylinder"),
        partners=(f"recall/place/{beside}",),
        lay=partial(lay_push, ((colour, "cylinder"), other)),
        holds=partial(_on_hidden_mark, target, (beside,)),
        remember=_begin_mark,
        target=target,
        goal="mark",
    )


TASKS = (*(_lights(ask) for ask in _TWINS), *(_place(colour) for colour in COLOURS))
