"""Stack one thing on another: the words say which of three things goes on which."""

from __future__ import annotations

from functools import partial
from itertools import permutations

import numpy as np

from embodia.envs.desk.grammar import COLOURS, Request
from embodia.envs.desk.scenes import Scene
from embodia.envs.desk.tasks import Memory
from embodia.envs.desk.tasks._spoken import Spoken
from embodia.envs.desk.tasks._table import Kind, Table, loose, pair
from embodia.envs.desk.world import World

ASIDE_M, HEIGHT_M = 0.022, 0.008
_RADIUS_M = 0.055


def on_top(world: World, name: str, base: str) -> bool:
    """Whether a thing rests on another one, and the hand does not touch it."""
    offset = world.pose(name)[0] - world.pose(base)[0]
    sizes = {item.name: item.size_m[-1] for item in world.scene.things}
    level = abs(offset[2] - sizes[name] - sizes[base]) < HEIGHT_M
    return bool(level and np.linalg.norm(offset[:2]) < ASIDE_M and not world.touching(name, "hand"))


def _lay(kinds: tuple[Kind, Kind], rng: np.random.Generator) -> Scene:
    table = Table(rng)
    things = pair(table, kinds, _RADIUS_M)
    third = str(rng.choice([colour for colour in COLOURS if colour not in {kinds[0][0], kinds[1][0]}]))
    return Scene(things=(*things, loose(third, "cube", table.spot(_RADIUS_M), rng)))


def _holds(target: str, base: str, world: World, memory: Memory) -> bool:
    return on_top(world, target, base)


def _task(top: Kind, below: Kind) -> Spoken:
    target, base = "-".join(top), "-".join(below)
    return Spoken(
        name=f"stack/{target}/{base}",
        family="stack",
        request=Request(verb="stack", colour=top[0], shape=top[1], place=base),
        partners=(f"stack/{base}/{target}",),
        lay=partial(_lay, (top, below)),
        holds=partial(_holds, target, base),
        target=target,
        goal=base,
        also=("arm6",),
    )


TASKS = tuple(
    _task((colour, shape), (below, foot))
    for shape, foot in (("cube", "cube"), ("cylinder", "cube"), ("cube", "cylinder"))
    for colour, below in permutations(COLOURS, 2)
)
