"""Scripted experts for LIBERO and LIBERO-PRO, which ship no demonstrations: they read the goal and make it true.

Each predicate of the goal has a script: carry, open, close, turn, push. A script that has ended without its predicate
is begun again before the next one, as a door that was shut too early keeps everything out. The one thing to watch:
scripts read places of objects that a policy never sees.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from embodia.envs.adapters._libero_bddl import Atom
from embodia.envs.adapters.libero import LiberoEnv
from embodia.envs.protocol import Env
from embodia.generate.experts._inside import adapter
from embodia.generate.experts._libero_carry import is_held, pick, put
from embodia.generate.experts._libero_fixtures import is_pulled_out, pull_drawer, push_drawer, turn_knob
from embodia.generate.experts._libero_hand import Actions, Hand, go_home, hand_of, stay
from embodia.generate.experts._libero_microwave import put_in, shut_door
from embodia.generate.experts._libero_plan import Chore, chores, drawer_of
from embodia.generate.experts._libero_world import World

_OVEN = "_heating_region"


def build(task: str) -> LiberoExpert:
    """The expert; one and the same for every task, as it reads the goal from the environment."""
    return LiberoExpert()


class LiberoExpert:
    """Makes the predicates of the goal true, one after the other."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget the episode before."""
        self._actions: Iterator[npt.NDArray[np.float32]] | None = None

    def act(self, env: Env) -> npt.NDArray[np.float32]:
        """Hand displacement (3), turn (3) and gripper (1), each in [-1, 1]."""
        inside = adapter(env, LiberoEnv, "libero")
        if self._actions is None:
            self._actions = _script(hand_of(World(inside.simulation)), inside.goal)
        return np.clip(next(self._actions), -1.0, 1.0)


def _script(hand: Hand, goal: tuple[Atom, ...]) -> Actions:
    while True:
        for chore in chores(goal):
            if is_done(hand.world, chore):
                continue
            yield from do(hand, chore)
            if not is_done(hand.world, chore):
                yield from go_home(hand)
                break
        yield from stay(hand, 1)


def is_done(world: World, chore: Chore) -> bool:
    """Whether a chore is no longer needed."""
    if chore.atom:
        return world.holds(chore.atom)
    return is_pulled_out(world, chore.name)


def do(hand: Hand, chore: Chore) -> Actions:
    """One attempt at a chore."""
    world = hand.world

    def done() -> bool:
        return is_done(world, chore)

    if chore.kind == "carry":
        yield from carry(hand, chore)
    elif chore.kind == "turn":
        yield from turn_knob(hand, chore.name, done)
    elif chore.kind == "open":
        yield from pull_drawer(hand, chore.name, done)
    elif drawer_of(chore.name):
        yield from push_drawer(hand, chore.name, done)
    else:
        yield from shut_door(hand, chore.name, done)


def carry(hand: Hand, chore: Chore) -> Actions:
    """Bring a thing on or into another thing or a region."""
    oven = hand.world.owner(chore.goal)
    if chore.goal.endswith(_OVEN):
        yield from put_in(hand, chore.name, oven, chore.goal)
        return
    if not is_held(hand, chore.name):
        yield from pick(hand, chore.name)
    if is_held(hand, chore.name):
        yield from put(hand, chore)
