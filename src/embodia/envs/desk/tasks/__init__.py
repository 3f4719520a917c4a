"""What is asked of a robot on the desk: one file a family, each with its tasks in `TASKS`; the file name is the family.

A task makes scenes, says what success is and knows its sentences. The one thing to watch: a scene always holds at least
two candidates, so that only the sentence tells what is wanted, and the partners of a task can be judged in its scene.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from functools import cache
from types import MappingProxyType
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np

from embodia.core.names import Folder, unknown
from embodia.envs.desk.scenes import BodyName, Scene
from embodia.envs.desk.world import World
from embodia.envs.protocol import Split

FOLDER = Folder(kind="family of Desk", package="embodia.envs.desk.tasks")

Memory: TypeAlias = MutableMapping[str, Any]
"""What a predicate remembers of an episode: plain values that can be copied."""


class Task(Protocol):
    """A task; `success` is asked once after every control step of an episode, in order."""

    @property
    def name(self) -> str:
        """Unique, with the family first: "push/red-cube/left"."""
        ...

    @property
    def family(self) -> str:
        """The file it is in."""
        ...

    @property
    def body(self) -> BodyName:
        """Who stands in its scenes."""
        ...

    @property
    def bodies(self) -> tuple[BodyName, ...]:
        """Who can do it when put into its scenes, `body` first."""
        ...

    @property
    def held_out(self) -> bool:
        """Whether its combination of words is kept for evaluation."""
        ...

    @property
    def partners(self) -> tuple[str, ...]:
        """Other tasks that can be judged in every scene of this one."""
        ...

    def scene(self, rng: np.random.Generator) -> Scene:
        """A start."""
        ...

    def begin(self, world: World) -> Memory:
        """The memory of a new episode."""
        ...

    def success(self, world: World, memory: Memory) -> bool:
        """Whether what was asked is so now."""
        ...

    def sentences(self, split: Split) -> tuple[str, ...]:
        """One canonical sentence, the paraphrases to train on, those kept for evaluation."""
        ...


@cache
def registry() -> Mapping[str, Task]:
    """All tasks by name."""
    found: dict[str, Task] = {}
    for family in FOLDER.names():
        for task in FOLDER.load(family).TASKS:
            found[task.name] = task
    return MappingProxyType(found)


def names(
    split: Literal["all", "train", "held_out"] = "all", family: str | None = None, body: str | None = "arm7"
) -> tuple[str, ...]:
    """Names of tasks that `body` can do, by family and, within one, in the order of its file; None means any body."""
    return tuple(
        task.name
        for task in registry().values()
        if (family is None or task.family == family)
        and (body is None or body in task.bodies)
        and (split == "all" or task.held_out == (split == "held_out"))
    )


def get(name: str) -> Task:
    """The task of that name. Raises `UnknownNameError`."""
    if name not in registry():
        raise unknown("task of Desk", name, registry())
    return registry()[name]
