"""Tasks that can follow one another in one scene: what each needs, what it changes, and chains drawn from that.

A scene's state is written in words ("drawer" -> "open"). A skill has cases: where all of `needs` holds, it may be asked
for, and afterwards `gives` holds. An environment that is `Chainable` can put its scene into such a state and can be
asked for another task without a reset, which is all that an evaluation of long horizons needs.
The one thing to watch: words only decide what may be asked; whether a task was done is judged by the environment, from
the moment on at which it was asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np

from embodia.core.errors import ConfigError
from embodia.core.seeds import generator
from embodia.core.types import Observation
from embodia.envs.protocol import Env

SceneState: TypeAlias = Mapping[str, str]
"""What is where, in words."""

_ATTEMPTS = 1000


@dataclass(frozen=True, kw_only=True)
class Case:
    """One way in which a skill can be asked for: `needs` holds before, `gives` holds afterwards."""

    needs: SceneState
    gives: SceneState

    def fits(self, state: SceneState) -> bool:
        """Whether it can be asked for in `state`."""
        return all(state.get(thing) == value for thing, value in self.needs.items())


@dataclass(frozen=True, kw_only=True)
class Skill:
    """A task as a link of chains; a chain has at most one task of each `category`."""

    task: str
    category: str
    cases: tuple[Case, ...]


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Tasks to be done one after the other from `start`."""

    start: SceneState
    tasks: tuple[str, ...]


@runtime_checkable
class Chainable(Env, Protocol):
    """An environment whose tasks can follow one another."""

    def skills(self) -> tuple[Skill, ...]:
        """Its tasks as links of chains."""
        ...

    def starts(self) -> tuple[SceneState, ...]:
        """The states in which a chain may begin."""
        ...

    def begin(self, start: SceneState, task: str, seed: int) -> Observation:
        """Put the scene into `start`, details drawn under `seed`, and ask for `task`. No images."""
        ...

    def ask(self, task: str) -> Observation:
        """Ask for another task in the scene as it is: its sentence is told, its predicate counts from now. No images.

        The count of steps towards the horizon begins anew.
        """
        ...


def possible(skills: Sequence[Skill], state: SceneState, used: frozenset[str]) -> list[tuple[Skill, Case]]:
    """What may be asked for in `state`, categories in `used` left out; one entry for each case that fits."""
    return [(skill, case) for skill in skills if skill.category not in used for case in skill.cases if case.fits(state)]


def draw_chain(skills: Sequence[Skill], starts: Sequence[SceneState], length: int, seed: int) -> Chain:
    """One chain of `length` tasks of different categories, a pure function of its arguments.

    The start is drawn first, then task after task, uniformly among those that are possible. Raises `ConfigError` where
    no such chain is found.
    """
    rng = generator(seed, "chain")
    for _ in range(_ATTEMPTS if starts else 0):
        start = starts[int(rng.integers(len(starts)))]
        tasks = _walk(skills, start, length, rng)
        if len(tasks) == length:
            return Chain(start=start, tasks=tasks)
    raise ConfigError(f"no chain of {length} tasks of different categories exists", leaf="skills")


def _walk(skills: Sequence[Skill], start: SceneState, length: int, rng: np.random.Generator) -> tuple[str, ...]:
    state, used, tasks = dict(start), frozenset[str](), []
    for _ in range(length):
        options = possible(skills, state, used)
        if not options:
            break
        names = sorted({skill.task for skill, _ in options})
        task = names[int(rng.integers(len(names)))]
        fitting = [pair for pair in options if pair[0].task == task]
        skill, case = fitting[int(rng.integers(len(fitting)))]
        state.update(case.gives)
        used |= {skill.category}
        tasks.append(task)
    return tuple(tasks)
