"""What a robot does between two trials on Desk: it brings the scene of chains back to where a task may be asked for.

No simulator is reset: drawer and switch are moved back, cubes are fetched from the bowl, the drawer, a tower or the rim
of the table and stood on free places, by the scripts that experts are made of. The one thing to watch: an undoing may
fail like any deed, so whoever calls it has to look afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np

from embodia.core.errors import ConfigError
from embodia.core.names import unknown
from embodia.core.seeds import generator
from embodia.envs.desk.tasks import chain
from embodia.envs.desk.tasks.drawer import closed, in_drawer, opened
from embodia.envs.desk.tasks.place import inside
from embodia.envs.desk.tasks.switch import turned
from embodia.envs.desk.world import World
from embodia.generate.experts._desk_carry import carry
from embodia.generate.experts._desk_hand import Floats, Habit, Hand, fixed, grasp, release, rise, withdraw
from embodia.generate.experts._desk_motion import Actions
from embodia.generate.experts._desk_push import flip, pull_drawer, push_drawer

REACH_X_M, REACH_Y_M = (-0.24, -0.04), (-0.22, 0.22)
SPOT_X_M, SPOT_Y_M = (-0.22, -0.07), (-0.13, 0.13)
APART_M, HALF_M, _LOW_M, _HIGH_M, _TRIES = 0.075, 0.02, 0.03, 0.2, 200
SWITCH: Mapping[str, float] = MappingProxyType({"on": 1.0, "off": -1.0})


def needs(task: str) -> Mapping[str, str]:
    """What must be so before a task of chains can be asked for. Raises `UnknownNameError`."""
    known = {skill.task: skill for skill in chain.SKILLS}
    if task not in known:
        raise unknown("task of chains", task, known)
    return known[task].cases[0].needs


def ready(world: World, task: str) -> bool:
    """Whether the scene is as the task needs it, by the truth of the simulator."""
    return all(_holds(world, word, value) for word, value in needs(task).items())


def undo(world: World, task: str, *, seed: int, habit: Habit | None = None, limit: int = 240) -> Iterator[Floats]:
    """At most `limit` actions (A,) that make the scene ready for `task`, or try to.

    Raises `ConfigError` for a world without ee control, `UnknownNameError` for a task that is not one of chains.
    """
    if world.control != "ee":
        raise ConfigError("undoing acts under ee control", leaf="options.control")
    rng = generator(seed, "undo", task)
    hand = Hand(world=world, habit=habit or Habit(), rng=rng)
    script = _script(hand, needs(task))
    for _, action in zip(range(limit), script, strict=False):
        yield np.clip(action, -1.0, 1.0)


def _script(hand: Hand, wanted: Mapping[str, str]) -> Actions:
    yield from withdraw(hand)
    yield from rise(hand, _HIGH_M)
    while wrong := [word for word in _ordered(wanted) if not _holds(hand.world, word, wanted[word])]:
        yield from _restore(hand, wrong[0], wanted[wrong[0]])
        yield from rise(hand, _HIGH_M)
        yield hand.still()


def _ordered(words: Mapping[str, str]) -> list[str]:
    """The drawer first: what lies in it can only be fetched when it is open."""
    return sorted(words, key=lambda word: (word != "drawer", word))


def _restore(hand: Hand, word: str, value: str) -> Actions:
    if word == "drawer":
        yield from (pull_drawer if value == "open" else push_drawer)(hand, "drawer")
    elif word == "switch":
        yield from flip(hand, "switch", SWITCH[value])
    elif word == "bowl":
        for cube in _cubes():
            if inside(hand.world, cube, "bowl"):
                yield from _fetch(hand, cube)
    else:
        above = [cube for cube in _cubes() if _rests_on(hand.world, cube, f"{word}-cube")]
        for cube in (*above, f"{word}-cube"):
            yield from _fetch(hand, cube)


def _fetch(hand: Hand, cube: str) -> Actions:
    """Take a cube from wherever it is and stand it on a free place."""
    yield from grasp(hand, cube)
    if hand.world.holding(cube, hand.arm):
        yield from carry(hand, cube, fixed(_free(hand.world, cube, hand.rng)))
        yield from release(hand)


def _free(world: World, cube: str, rng: np.random.Generator) -> Floats:
    others = [world.pose(name)[0][:2] for name in _cubes() if name != cube]
    at = np.zeros(2)
    for _ in range(_TRIES):
        at = np.array([rng.uniform(*SPOT_X_M), rng.uniform(*SPOT_Y_M)])
        if all(float(np.linalg.norm(at - other)) > APART_M for other in others):
            break
    return np.array([*at, HALF_M + 0.002])


def _holds(world: World, word: str, value: str) -> bool:
    if word == "drawer":
        return (opened if value == "open" else closed)("drawer", world, {})
    if word == "switch":
        return turned("switch", SWITCH[value], world, {})
    if word == "bowl":
        return not any(inside(world, cube, "bowl") for cube in _cubes())
    return _stands_free(world, f"{word}-cube")


def _stands_free(world: World, cube: str) -> bool:
    """On the table within reach, in nothing and under nothing."""
    x, y, z = world.pose(cube)[0]
    within = REACH_X_M[0] < x < REACH_X_M[1] and REACH_Y_M[0] < y < REACH_Y_M[1]
    contained = in_drawer(world, cube, "drawer") or inside(world, cube, "bowl")
    burdened = any(_rests_on(world, other, cube) for other in _cubes())
    return bool(within and z < _LOW_M and not contained and not burdened)


def _rests_on(world: World, top: str, base: str) -> bool:
    gap = world.pose(top)[0] - world.pose(base)[0]
    return bool(top != base and gap[2] > HALF_M and float(np.linalg.norm(gap[:2])) < 2 * HALF_M)


def _cubes() -> tuple[str, ...]:
    return tuple(f"{colour}-cube" for colour in chain.CUBES)
