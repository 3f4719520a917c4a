"""Scripted experts for LIBERO and LIBERO-PRO, which ship no demonstrations: they read the goal and make it true.

Each predicate of the goal has a script: carry, open, close, turn, push. A script that has ended without its predicate
is begun again. The one thing to watch: scripts read places of objects that a policy never sees.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from embodia.core.errors import ConfigError
from embodia.envs.adapters._libero_bddl import Atom
from embodia.envs.adapters.libero import LiberoEnv
from embodia.envs.protocol import Env
from embodia.generate.experts._libero_carry import is_held, pick, place
from embodia.generate.experts._libero_hand import Actions, Hand, stay
from embodia.generate.experts._libero_world import World


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
        if not isinstance(env, LiberoEnv):
            raise ConfigError(f"an expert of libero cannot act in {env.provenance.environment!r}")
        if self._actions is None:
            world = World(env.simulation)
            self._actions = _script(Hand(world=world, attitude=world.attitude), env.goal)
        return np.clip(next(self._actions), -1.0, 1.0)


def _script(hand: Hand, goal: tuple[Atom, ...]) -> Actions:
    while True:
        for atom in goal:
            if not hand.world.holds(atom):
                yield from carry(hand, atom[1], atom[2])
        yield from stay(hand, 1)


def carry(hand: Hand, name: str, goal: str) -> Actions:
    """Bring a thing on or into another thing or a region."""
    if not is_held(hand, name):
        yield from pick(hand, name)
    if is_held(hand, name):
        yield from place(hand, name, hand.world.place(goal))
