"""One scene with a drawer, a switch, a button, a bowl and three cubes, whose tasks can follow one another.

It is what an evaluation of long horizons plays on: `SKILLS` say what each task needs and changes, `STARTS` where a
chain may begin, `lay` puts the table into such a state. The one thing to watch: every cube has a lane of its own across
the table, so that no push runs into another cube.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import permutations, product
from types import MappingProxyType

import numpy as np

from embodia.envs.chaining import Case, SceneState, Skill
from embodia.envs.desk.grammar import COLOURS, Request
from embodia.envs.desk.scenes import Fixture, Scene
from embodia.envs.desk.tasks import Memory
from embodia.envs.desk.tasks._spoken import Holds, Spoken, where_things_are
from embodia.envs.desk.tasks._table import loose
from embodia.envs.desk.tasks.button import SIZE_M as BUTTON_M
from embodia.envs.desk.tasks.button import pressed
from embodia.envs.desk.tasks.drawer import SIZE_M as DRAWER_M
from embodia.envs.desk.tasks.drawer import closed, in_drawer, opened
from embodia.envs.desk.tasks.place import BOWL_M, inside
from embodia.envs.desk.tasks.push import pushed
from embodia.envs.desk.tasks.stack import on_top
from embodia.envs.desk.tasks.switch import SIZE_M as SWITCH_M
from embodia.envs.desk.tasks.switch import turned
from embodia.envs.desk.world import World

CUBES = ("red", "green", "blue")
_LANES_M = (-0.215, -0.145, -0.075)
_OPEN_M, _ON_RAD = 0.105, 0.5
_STEEL, _WOOD = (0.55, 0.57, 0.62, 1.0), (0.55, 0.40, 0.25, 1.0)


def lay(start: SceneState, rng: np.random.Generator) -> Scene:
    """The table in a start: "drawer" open or closed, "switch" on or off; the cubes always lie on the table."""

    def near(x: float, y: float, slack: float = 0.015) -> tuple[float, float, float]:
        return float(x + rng.uniform(-slack, slack)), float(y + rng.uniform(-slack, slack)), 0.0

    fixtures = (
        Fixture(
            kind="drawer",
            name="drawer",
            size_m=DRAWER_M,
            position_m=near(0.21, 0.15),
            rgba=_WOOD,
            start=_OPEN_M if start["drawer"] == "open" else 0.0,
        ),
        Fixture(
            kind="switch",
            name="switch",
            size_m=SWITCH_M,
            position_m=near(0.14, -0.19),
            rgba=COLOURS["yellow"],
            start=_ON_RAD if start["switch"] == "on" else -_ON_RAD,
        ),
        Fixture(kind="button", name="button", size_m=BUTTON_M, position_m=near(0.0, -0.27), rgba=COLOURS["purple"]),
        Fixture(kind="bowl", name="bowl", size_m=BOWL_M, position_m=near(0.09, -0.02), rgba=_STEEL),
    )
    lanes = rng.permutation(_LANES_M)
    cubes = (
        loose(colour, "cube", (float(x + rng.uniform(-0.008, 0.008)), float(rng.uniform(-0.12, 0.12))), rng)
        for colour, x in zip(CUBES, lanes, strict=True)
    )
    return Scene(things=tuple(cubes), fixtures=fixtures)


STARTS: tuple[SceneState, ...] = tuple(
    MappingProxyType({"drawer": drawer, "switch": switch, "bowl": "empty", **dict.fromkeys(CUBES, "table")})
    for drawer, switch in product(("open", "closed"), ("on", "off"))
)
"""Where a chain may begin."""


def _any(needs: Mapping[str, str], rng: np.random.Generator) -> Scene:
    fitting = [start for start in STARTS if all(start[word] == value for word, value in needs.items())]
    return lay(fitting[int(rng.integers(len(fitting)))], rng)


def _stacked(target: str, base: str, world: World, memory: Memory) -> bool:
    return on_top(world, target, base)


def _in_bowl(target: str, world: World, memory: Memory) -> bool:
    return inside(world, target, "bowl")


def _stowed(target: str, world: World, memory: Memory) -> bool:
    return in_drawer(world, target, "drawer")


def _link(
    category: str,
    request: Request,
    holds: Holds,
    partner: str,
    *,
    needs: SceneState,
    gives: SceneState,
    target: str,
    goal: str = "",
) -> tuple[Spoken, Skill]:
    name = "chain/" + request.name.replace("/", "-")
    task = Spoken(
        name=name,
        family="chain",
        request=request,
        partners=(partner,),
        lay=partial(_any, needs),
        holds=holds,
        remember=where_things_are,
        target=target,
        goal=goal,
    )
    return task, Skill(task=name, category=category, cases=(Case(needs=needs, gives=gives),))


def _furniture() -> list[tuple[Spoken, Skill]]:
    found = []
    for verb, before, after in (("open", "closed", "open"), ("close", "open", "closed")):
        holds = partial(opened if verb == "open" else closed, "drawer")
        request = Request(verb=verb, shape="drawer")
        states: tuple[SceneState, SceneState] = ({"drawer": before}, {"drawer": after})
        found.append(
            _link("drawer", request, holds, "chain/press-button", needs=states[0], gives=states[1], target="drawer")
        )
    for way, before, after, sign in (("on", "off", "on", 1.0), ("off", "on", "off", -1.0)):
        request = Request(verb=f"turn-{way}", shape="switch")
        states = ({"switch": before}, {"switch": after})
        holds = partial(turned, "switch", sign)
        found.append(
            _link("switch", request, holds, "chain/press-button", needs=states[0], gives=states[1], target="switch")
        )
    press = Request(verb="press", shape="button")
    found.append(
        _link(
            "button",
            press,
            partial(pressed, "button", ""),
            "chain/push-red-cube-left",
            needs={},
            gives={},
            target="button",
        )
    )
    return found


def _cubes() -> list[tuple[Spoken, Skill]]:
    found = []
    for colour, other in zip(CUBES, (*CUBES[1:], CUBES[0]), strict=True):
        target, others = f"{colour}-cube", tuple(f"{c}-cube" for c in CUBES if c != colour)
        free: SceneState = {colour: "table"}
        for side, back in (("left", "right"), ("right", "left")):
            request = Request(verb="push", colour=colour, shape="cube", place=side)
            holds = partial(pushed, target, others, side)
            found.append(
                _link("push", request, holds, f"chain/push-{target}-{back}", needs=free, gives={}, target=target)
            )
        request = Request(verb="place", colour=colour, shape="cube", place="bowl")
        needs, gives = {**free, "bowl": "empty"}, {colour: "bowl", "bowl": "full"}
        holds = partial(_in_bowl, target)
        found.append(
            _link(
                "bowl",
                request,
                holds,
                f"chain/place-{other}-cube-bowl",
                needs=needs,
                gives=gives,
                target=target,
                goal="bowl",
            )
        )
        request = Request(verb="stow", colour=colour, shape="cube", place="drawer")
        needs = {**free, "drawer": "open"}
        holds = partial(_stowed, target)
        found.append(
            _link(
                "stow",
                request,
                holds,
                f"chain/stow-{other}-cube-drawer",
                needs=needs,
                gives={colour: "drawer"},
                target=target,
                goal="drawer",
            )
        )
    for top, base in permutations(CUBES, 2):
        request = Request(verb="stack", colour=top, shape="cube", place=f"{base}-cube")
        holds = partial(_stacked, f"{top}-cube", f"{base}-cube")
        needs, gives = {top: "table", base: "table"}, {top: "top", base: "under"}
        back = f"chain/stack-{base}-cube-{top}-cube"
        found.append(
            _link("stack", request, holds, back, needs=needs, gives=gives, target=f"{top}-cube", goal=f"{base}-cube")
        )
    return found


_LINKS = (*_furniture(), *_cubes())
TASKS = tuple(task for task, _ in _LINKS)
SKILLS = tuple(skill for _, skill in _LINKS)
"""The tasks as links of chains, for `embodia.envs.chaining.draw_chain`."""
