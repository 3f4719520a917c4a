"""An `Env` out of two things: a description of a benchmark's family and a simulation for the task that is played.

Most benchmarks differ only in their contract, their sentences and in how a scene is built, reset and judged. Those are
the two things; everything else of the protocol stands here once. The one thing to watch: an environment has one
contract, so a description covers tasks of one body only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from embodia.core.errors import ConfigError, EnvironmentFailure
from embodia.core.names import unknown
from embodia.core.provenance import Provenance
from embodia.core.specs import ActionPart, ActionSpec, Contract, ObservationSpec, StatePart
from embodia.core.types import Array, Observation, changed, check_actions
from embodia.envs.profiles import VisualProfile, profile
from embodia.envs.protocol import CameraView, EnvConfig, Split, StepResult, chosen, resolve_views
from embodia.envs.sentences import Sentences
from embodia.envs.versions import installed

Floats = npt.NDArray[np.float64]
Images = Mapping[str, npt.NDArray[np.uint8]]


class Simulation(Protocol):
    """The scene of one task: physics, predicates, proprioception and pictures."""

    def reset(self, seed: int) -> None:
        """Start an episode, a pure function of the seed."""
        ...

    def step(self, action: Floats) -> tuple[float, bool]:
        """Apply one action (A,) within the contract's bounds: the benchmark's reward, whether physics held."""
        ...

    def holds(self, task: str) -> bool:
        """Whether the predicate of the scene's own task, or of a partner, holds now."""
        ...

    def proprioception(self) -> Floats:
        """What the robot feels of itself (S,)."""
        ...

    def draw(self) -> Images:
        """One upright picture uint8 (H W 3) for each view."""
        ...

    def close(self) -> None:
        """Free physics and graphics."""
        ...


@runtime_checkable
class Speaking(Protocol):
    """A simulation whose sentence depends on the episode, or changes on the way."""

    def sentence(self) -> str:
        """What is asked for now; empty leaves it to the family's sentences."""
        ...


@dataclass(frozen=True, kw_only=True)
class Family:
    """One benchmark on one body.

    environment   the family's name, as in `embodia.envs.make`
    body          name of the embodiment
    packages      distributions whose versions travel with every result
    sentences     task -> what may be said; its keys are the tasks
    horizons      task -> control steps of an episode; `horizon` for the rest
    partners      task -> other tasks that can be judged in its scene, and asked for as `other@task`
    """

    environment: str
    body: str
    packages: tuple[str, ...]
    sentences: Mapping[str, Sentences]
    parts: tuple[ActionPart, ...]
    state: tuple[StatePart, ...]
    rate_hz: float
    horizon: int
    views: Mapping[str, CameraView]
    default_cameras: tuple[str, ...]
    success_rule: str
    horizons: Mapping[str, int] | None = None
    partners: Mapping[str, tuple[str, ...]] | None = None

    def contract(self, views: tuple[CameraView, ...], profile_name: str) -> Contract:
        """The typed contract with these cameras."""
        return Contract(
            observation=ObservationSpec(
                cameras=tuple(view.spec(profile_name) for view in views), state=self.state, rate_hz=self.rate_hz
            ),
            action=ActionSpec(parts=self.parts, rate_hz=self.rate_hz),
            embodiment=self.body,
        )


Builder = Callable[[str, tuple[CameraView, ...], VisualProfile], Simulation]
"""Builds the scene of a task, to be drawn from these views under this profile."""


class SimulatedEnv:
    """The tasks of a `Family`; one scene is kept, and built anew only when another task is played."""

    def __init__(self, family: Family, config: EnvConfig, build: Builder) -> None:
        refuse_options(family.environment, config)
        self._family, self._config, self._build = family, config, build
        self._views = resolve_views(config, family.views, family.default_cameras)
        self._profile = profile(config.profile)
        for item in config.tasks:
            self._parse(item)
        self.tasks = config.tasks or tuple(family.sentences)
        self.contract = family.contract(self._views, config.profile)
        self.provenance = Provenance(
            environment=family.environment,
            profile=config.profile,
            cameras=tuple(view.describe() for view in self._views),
            versions=installed(*family.packages),
            success_rule=family.success_rule,
        )
        bounds = [(part.low, part.high) for part in family.parts for _ in range(part.dim)]
        self._low, self._high = np.array(bounds).T
        self._blank = Observation(embodiment=family.body)
        self._task = self._scene_task = ""
        self._simulation: Simulation | None = None
        self._steps = 0

    def reset(self, task: str, seed: int) -> Observation:
        """Start an episode of `task`, or of `task@scene`. Raises `UnknownNameError`, `EnvironmentFailure`."""
        name, scene = self._parse(task)
        if self._simulation is None or scene != self._scene_task:
            self.close()
            self._simulation = self._build(scene, self._views, self._profile)
        self._task, self._scene_task, self._steps = name, scene, 0
        self._simulation.reset(seed)
        return self._sense()

    def step(self, action: Array) -> StepResult:
        """One control period; `action` (A,) is cut to the contract's bounds. Raises `NotFiniteError`, `ShapeError`.

        Physics that diverges ends the episode as truncated, with `info["unstable"]`.
        """
        simulation = self.simulation
        check_actions(action, self.contract.action, where=f"{self._family.environment} {self._task}")
        reward, stable = simulation.step(np.clip(np.asarray(action, np.float64), self._low, self._high))
        stable = bool(stable)
        success = stable and bool(simulation.holds(self._task))
        self._steps += 1
        terminated = success and self._config.success_ends
        truncated = not stable or self._steps >= self.horizon
        return self._sense(), float(reward), terminated, truncated, {"success": success, "unstable": not stable}

    def observe(self) -> Observation:
        """State and pictures now, (1 1 ...)."""
        images = self.simulation.draw()
        return changed(self._sense(), images={name: image[None, None] for name, image in images.items()})

    def instructions(self, task: str, split: Split = "canonical") -> tuple[str, ...]:
        """The sentences of a task."""
        return self._family.sentences[self._parse(task)[0]].of(split)

    def judge(self, task: str) -> bool:
        """Whether the predicate of the scene's own task, or of a partner, holds now. Raises `UnknownNameError`."""
        simulation = self.simulation
        name = task.split("@")[0]
        return bool(simulation.holds(self._parse(f"{name}@{self._scene_task}")[0]))

    def scene_partners(self, task: str) -> tuple[str, ...]:
        """Other tasks that can be judged, and asked for as `partner@scene`, in the scene of `task`."""
        name, scene = self._parse(task)
        return tuple(other for other in (scene, *self._partners(scene)) if other != name)

    @property
    def horizon(self) -> int:
        """Control steps after which the present episode is truncated."""
        return self._config.horizon or (self._family.horizons or {}).get(self._scene_task, self._family.horizon)

    @property
    def simulation(self) -> Any:
        """The scene that is played, for scripted experts only. Raises `EnvironmentFailure` before the first reset."""
        if self._simulation is None:
            raise EnvironmentFailure("reset comes before step, observe and judge")
        return self._simulation

    @property
    def task(self) -> str:
        """The task that is played, without its scene; empty before the first reset."""
        return self._task

    def close(self) -> None:
        """Free the scene and graphics memory."""
        if self._simulation is not None:
            self._simulation.close()
        self._simulation = None
        self._task = self._scene_task = ""

    def _parse(self, task: str) -> tuple[str, str]:
        name, _, scene = task.partition("@")
        scene = scene or name
        chosen(f"task of {self._family.environment}", (name, scene), self._family.sentences)
        if name != scene and name not in self._partners(scene):
            raise unknown(f"partner of {scene}", name, self._partners(scene))
        return name, scene

    def _partners(self, scene: str) -> tuple[str, ...]:
        return (self._family.partners or {}).get(scene, ())

    def _sense(self) -> Observation:
        simulation = self.simulation
        said = simulation.sentence() if isinstance(simulation, Speaking) else ""
        return changed(
            self._blank,
            state=np.asarray(simulation.proprioception(), np.float32)[None, None],
            instruction=(said,) if said else self._family.sentences[self._task].canonical,
            time_s=np.array([[self._steps / self._family.rate_hz]]),
        )


def refuse_options(family: str, config: EnvConfig, known: tuple[str, ...] = ()) -> None:
    """Raise `UnknownNameError` for an option that the family does not have."""
    for key in config.options or {}:
        if key not in known:
            raise unknown(f"option of {family}", key, known)


def body_of(tasks: tuple[str, ...], bodies: Mapping[str, tuple[str, ...]]) -> str:
    """The one body (a key of `bodies`, body -> tasks) that does all `tasks`; the first when none are named.

    Raises `ConfigError` when they need two, `UnknownNameError` for a task that no body has.
    """
    known = tuple(task for group in bodies.values() for task in group)
    names = chosen("task", tuple(task.split("@")[0] for task in tasks), known) if tasks else ()
    found = [body for body, group in bodies.items() if set(group) & set(names)] if names else [next(iter(bodies))]
    if len(found) > 1:
        raise ConfigError(f"one contract, one body, but these tasks need {', '.join(found)}", leaf="tasks")
    return found[0]
