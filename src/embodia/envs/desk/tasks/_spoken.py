"""The one kind of task that the families of the arm are made of: a request in words, a layout, a predicate.

The one thing to watch: layout and predicate are functions of the request alone, so that a task and its partners, made
in different scenes, mean the same thing by the same words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from embodia.core.errors import EnvironmentFailure
from embodia.envs.desk.grammar import Request, sentences
from embodia.envs.desk.scenes import BodyName, Scene
from embodia.envs.desk.tasks import Memory
from embodia.envs.desk.world import World
from embodia.envs.protocol import Split

Lay: TypeAlias = Callable[[np.random.Generator], Scene]
Holds: TypeAlias = Callable[[World, Memory], bool]
Remember: TypeAlias = Callable[[World], Memory]

_TRIES = 50


def nothing(world: World) -> Memory:
    """No memory is needed."""
    return {}


def where_things_are(world: World) -> Memory:
    """The place of everything that stands on the table, by name."""
    return {name: world.pose(name)[0] for name in world.names}


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """A task that is said in words.

    target   the thing or fixture that is meant; empty where several are
    goal     where to, a fixture or thing; empty where none is
    body     who stands in the scenes it makes; `also` who else can do it in the same scenes
    """

    name: str
    family: str
    request: Request
    partners: tuple[str, ...]
    lay: Lay
    holds: Holds
    remember: Remember = nothing
    target: str = ""
    goal: str = ""
    body: BodyName = "arm7"
    also: tuple[BodyName, ...] = ()

    @property
    def bodies(self) -> tuple[BodyName, ...]:
        """Who can do it, the one of its scenes first."""
        return (self.body, *self.also)

    @property
    def held_out(self) -> bool:
        """Whether its combination of words is kept for evaluation."""
        return self.request.held_out

    def scene(self, rng: np.random.Generator) -> Scene:
        """A start; laid anew when there was no room left for everything. Raises `EnvironmentFailure`."""
        for _ in range(_TRIES):
            try:
                return self.lay(rng)
            except EnvironmentFailure:
                continue
        raise EnvironmentFailure("the table is too small for this scene", leaf=self.name)

    def begin(self, world: World) -> Memory:
        """The memory of a new episode."""
        return self.remember(world)

    def success(self, world: World, memory: Memory) -> bool:
        """Whether what was asked is so now."""
        return self.holds(world, memory)

    def sentences(self, split: Split) -> tuple[str, ...]:
        """One canonical sentence, the paraphrases to train on, those kept for evaluation."""
        return sentences(self.request, split)
