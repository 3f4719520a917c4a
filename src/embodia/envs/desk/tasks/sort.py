"""Sort three things into two bins, by colour or by shape: the same scene, two rules.

Bins have two colours, things the same two, and cubes and balls are among them, so the rules disagree about at least one
thing. The one thing to watch: the first colour's bin is also the bin for cubes when the rule is the shape.
"""

from __future__ import annotations

from functools import partial
from itertools import product

import numpy as np

from embodia.envs.desk.grammar import COLOURS, Request
from embodia.envs.desk.scenes import Fixture, Scene
from embodia.envs.desk.tasks import Memory
from embodia.envs.desk.tasks._spoken import Spoken
from embodia.envs.desk.tasks._table import Kind, Table, loose
from embodia.envs.desk.tasks.place import inside
from embodia.envs.desk.world import World

PAIRS = (("red", "blue"), ("green", "orange"), ("purple", "yellow"))
BIN_M = (0.075, 0.055, 0.02)
RULES = ("colour", "shape")


def _kinds(colours: tuple[str, str], rng: np.random.Generator) -> list[Kind]:
    """Three of the four things; two of any three are told apart by one rule and not by the other."""
    every = [(colour, shape) for colour in colours for shape in ("cube", "ball")]
    return [every[i] for i in sorted(rng.choice(4, 3, replace=False))]


def _lay(colours: tuple[str, str], rng: np.random.Generator) -> Scene:
    table = Table(rng)
    sides = rng.permutation([-1.0, 1.0])
    bins = tuple(
        Fixture(
            kind="bin",
            name=f"{colour}-bin",
            size_m=BIN_M,
            position_m=(float(rng.uniform(0.06, 0.16)), float(side * rng.uniform(0.10, 0.20)), 0.0),
            rgba=COLOURS[colour],
        )
        for colour, side in zip(colours, sides, strict=True)
    )
    found = (loose(*kind, table.spot(0.055, x=(-0.20, -0.03)), rng) for kind in _kinds(colours, rng))
    return Scene(things=tuple(found), fixtures=bins)


def bin_for(rule: str, colours: tuple[str, str], thing: str) -> str:
    """The bin in which a thing belongs."""
    colour, shape = thing.split("-")
    first = colour == colours[0] if rule == "colour" else shape == "cube"
    return f"{colours[0] if first else colours[1]}-bin"


def _sorted(rule: str, colours: tuple[str, str], world: World, memory: Memory) -> bool:
    return all(inside(world, item.name, bin_for(rule, colours, item.name)) for item in world.scene.things)


def _task(colours: tuple[str, str], rule: str) -> Spoken:
    pair = "-".join(colours)
    return Spoken(
        name=f"sort/{pair}/{rule}",
        family="sort",
        request=Request(verb=f"sort-{rule}", colour=pair),
        partners=tuple(f"sort/{pair}/{other}" for other in RULES if other != rule),
        lay=partial(_lay, colours),
        holds=partial(_sorted, rule, colours),
        goal=rule,
        also=("arm6",),
    )


TASKS = tuple(_task(colours, rule) for colours, rule in product(PAIRS, RULES))
