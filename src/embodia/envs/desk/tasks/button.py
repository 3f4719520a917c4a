"""Press the button of the named colour, one of three; with "gently" or "hard" the force of the press decides too.

The force is the largest normal force on the button at the end of any control step so far, so one rough touch spoils a
gentle press for good; and a gentle press has to last, because a fast one is soft until it meets the bottom. The one
thing to watch: a button counts as pressed while it is down, it springs back.
"""

from __future__ import annotations

from functools import partial
from itertools import product

import numpy as np

from embodia.envs.desk.grammar import COLOURS, Request
from embodia.envs.desk.scenes import Fixture, Scene
from embodia.envs.desk.tasks import Memory
from embodia.envs.desk.tasks._spoken import Spoken
from embodia.envs.desk.tasks._table import Table, rival_colour
from embodia.envs.desk.world import World

SIZE_M = (0.025, 0.015)
PRESSED, GENTLE_N, HARD_N = 0.7, 10.0, 100.0
MANNERS = ("", "gently", "hard")
HELD_STEPS = 3
"""For so many control steps a gentle press is down."""
_RADIUS_M = 0.07


def button(colour: str, at: tuple[float, float]) -> Fixture:
    """A button called "red-button"."""
    return Fixture(kind="button", name=f"{colour}-button", size_m=SIZE_M, position_m=(*at, 0.0), rgba=COLOURS[colour])


def _lay(colours: tuple[str, str], rng: np.random.Generator) -> Scene:
    table = Table(rng)
    third = str(rng.choice([colour for colour in COLOURS if colour not in colours]))
    return Scene(fixtures=tuple(button(colour, table.spot(_RADIUS_M)) for colour in (*sorted(colours), third)))


def unforced(world: World) -> Memory:
    """No force was felt so far."""
    return {"peak_n": 0.0, "down_steps": 0}


def pressed(target: str, manner: str, world: World, memory: Memory) -> bool:
    """Whether a button is down, and was pressed in that manner."""
    down = world.joint(target) > PRESSED
    if not manner:
        return down
    memory["peak_n"] = max(float(memory["peak_n"]), world.contact_force(target))
    memory["down_steps"] = memory["down_steps"] + 1 if down else 0
    if manner == "gently":
        return bool(memory["down_steps"] >= HELD_STEPS and memory["peak_n"] < GENTLE_N)
    return bool(down and memory["peak_n"] > HARD_N)


def _task(colour: str, manner: str) -> Spoken:
    other = rival_colour(colour, 1)
    suffix = f"/{manner}" if manner else ""
    same = [f"button/{colour}/{way}" for way in ("gently", "hard") if manner and way != manner]
    return Spoken(
        name=f"button/{colour}{suffix}",
        family="button",
        request=Request(verb="press", colour=colour, shape="button", manner=manner),
        partners=(f"button/{other}{suffix}", *same),
        lay=partial(_lay, (colour, other)),
        holds=partial(pressed, f"{colour}-button", manner),
        remember=unforced,
        target=f"{colour}-button",
        also=("arm6",),
    )


TASKS = tuple(_task(colour, manner) for manner, colour in product(MANNERS, COLOURS))
