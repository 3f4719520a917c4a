"""Which Meta-World tasks can be asked for, and judged, in the scene of another task.

Two tasks share a scene when bodies and joints are the same and a goal for both is there to be seen: a faucet can be
opened or closed, a block and a mark on a table allow reach, push and pick-place. `placement` gives the other task's
random vector so that its twin stands in the very same place. Left out on purpose: pairs whose second goal would be met
from the start or stand nowhere in the picture (assembly in disassemble, the plate-slide tasks among each other).
The one thing to watch: pulling the mug out of the coffee machine pushes the button with the wrist, so coffee-button
holds after a coffee-pull too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from embodia.core.errors import EnvironmentFailure
from embodia.core.seeds import generator
from embodia.envs.adapters._metaworld_sim import APART_M, Simulation

Floats = npt.NDArray[np.float64]
Placement: TypeAlias = Callable[[Simulation, Floats], Floats]
"""Simulation of the scene and the mark that is drawn in it -> random vector of the other task."""

_FIXTURES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("box", ("handle-press", "handle-pull")),
    ("box", ("handle-press-side", "handle-pull-side")),
    ("door", ("door-open", "door-close")),
    ("door", ("door-lock", "door-unlock")),
    ("drawer", ("drawer-open", "drawer-close")),
    ("faucetBase", ("faucet-open", "faucet-close")),
    ("window", ("window-open", "window-close")),
)
DONE_AT_START = frozenset(
    (scene, task)
    for group in (
        ("handle-press", "handle-pull"),
        ("handle-press-side", "handle-pull-side"),
        ("door-open", "door-close"),
        ("door-lock", "door-unlock"),
        ("window-open", "window-close"),
    )
    for scene, task in (group, group[::-1])
) | {("drawer-open", "drawer-close")}
"""(scene, task) where the predicate of `task` holds from the start: judging it proves nothing."""
_TABLES: tuple[tuple[str, ...], ...] = (("reach", "push", "pick-place"), ("reach-wall", "push-wall", "pick-place-wall"))
_MARKS: Mapping[str, str] = MappingProxyType(
    {
        **{task: "goal" for table in _TABLES for task in table},
        "push-back": "goal",
        "pick-out-of-hole": "goal",
        "plate-slide-back": "goal",
        "plate-slide-back-side": "goal",
        "stick-push": "goal",
        "stick-pull": "goal",
        "sweep": "goal",
        "coffee-push": "mug_goal",
        "coffee-pull": "mug_goal",
        "coffee-button": "mug_goal",
    }
)
_PULL_LOW, _PULL_HIGH = (-0.15, 0.48, 0.0), (0.15, 0.65, 0.0)


def _at_fixture(body: str) -> Placement:
    def place(scene: Simulation, mark: Floats) -> Floats:
        return np.array(scene.model.body(body).pos, dtype=np.float64)

    return place


def _on_table(scene: Simulation, mark: Floats) -> Floats:
    return np.concatenate([scene.object_start, mark])


def _mug_to_mark(scene: Simulation, mark: Floats) -> Floats:
    return np.concatenate([scene.data.body("obj").xpos, mark])


def _placements() -> dict[tuple[str, str], Placement]:
    found: dict[tuple[str, str], Placement] = {}
    for body, tasks in _FIXTURES:
        place = _at_fixture(body)
        found.update({(scene, task): place for scene in tasks for task in tasks if scene != task})
    for tasks in _TABLES:
        found.update({(scene, task): _on_table for scene in tasks for task in tasks if scene != task})
    for scene in ("coffee-pull", "coffee-push"):
        found[scene, "coffee-button"] = _at_fixture("coffee_machine")
    found["coffee-button", "coffee-pull"] = _mug_to_mark
    return found


PLACEMENTS: Mapping[tuple[str, str], Placement] = MappingProxyType(_placements())
"""(scene, task) -> how to place the twin of `task` in that scene."""


def judgeable(scene: str, *, marked: bool) -> tuple[str, ...]:
    """Tasks other than `scene` that can be judged there; `marked` says that a mark shows where a mug could go."""
    found = [task for place, task in PLACEMENTS if place == scene]
    return tuple(task for task in found if marked or (scene, task) != ("coffee-button", "coffee-pull"))


def partners(scene: str, *, marked: bool) -> tuple[str, ...]:
    """The judgeable tasks that are not already done when the scene is set up: asking for these is a real question."""
    return tuple(task for task in judgeable(scene, marked=marked) if (scene, task) not in DONE_AT_START)


def mark_site(task: str) -> str | None:
    """The site that must be drawn because nothing else in the picture shows the goal; None where an object does."""
    return _MARKS.get(task)


def mark_position(scene: Simulation, seed: int) -> Floats:
    """Where the mark of a scene stands, world (3,): the goal, or for coffee-button where a mug could be pulled to."""
    if scene.task != "coffee-button":
        return scene.target
    rng, mug = generator(seed, "coffee-button mark"), scene.data.body("obj").xpos
    for _ in range(1000):
        mark: Floats = rng.uniform(_PULL_LOW, _PULL_HIGH)
        if np.linalg.norm(mark[:2] - mug[:2]) >= APART_M:
            return mark
    raise EnvironmentFailure("no place for a mark beside the mug", leaf=scene.task)
