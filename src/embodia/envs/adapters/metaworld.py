"""Meta-World: fifty tabletop tasks for one arm, with sentences, shared scenes and two visual profiles.

Actions are the benchmark's own: a displacement of the hand's set point in world axes (1 = 0.01 m a step) and a gripper
effort (positive closes). The state is proprioception only: where objects and goals are, a policy has to see.
`push@reach` names the task push, with its sentence and predicate, in the scene that reach has set up.
The one thing to watch: with `options={"marks": "neutral"}` tasks that share a scene look alike, so that only the
sentence tells them apart; with the default, "benchmark", the marks that the benchmark draws may give the task away.
"vivid" is neutral with the loose object blue and the button yellow: at 100 pixels a dark red puck on wood is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from embodia.core.errors import ConfigError, EnvironmentFailure
from embodia.core.names import unknown
from embodia.core.provenance import Provenance
from embodia.core.specs import ActionPart, ActionSpec, Contract, ObservationSpec, StatePart
from embodia.core.types import Array, Observation, check_actions
from embodia.envs.adapters._metaworld_language import SENTENCES
from embodia.envs.adapters._metaworld_scenes import (
    PLACEMENTS,
    judgeable,
    mark_position,
    mark_site,
    partners,
)
from embodia.envs.adapters._metaworld_sim import Floats, Simulation
from embodia.envs.drawing import Painter
from embodia.envs.profiles import profile
from embodia.envs.protocol import CameraView, EnvConfig, Split, StepResult, chosen, resolve_views
from embodia.envs.versions import installed

TASKS = tuple(sorted(SENTENCES))
RATE_HZ = 80.0
HORIZON = 500
ROTATED = ("corner", "corner2", "corner3", "corner4")
VIEWS: Mapping[str, CameraView] = MappingProxyType(
    {
        **{
            name: CameraView(name=name)
            for name in ("corner", "corner2", "corner3", "corner4", "topview", "behindGripper", "gripperPOV")
        },
        "right": CameraView(
            name="right", lookat_m=(0.0, 0.66, 0.12), distance_m=0.8, azimuth_deg=145.0, elevation_deg=-35.0
        ),
        "left": CameraView(
            name="left", lookat_m=(0.0, 0.66, 0.12), distance_m=0.8, azimuth_deg=0.0, elevation_deg=-35.0
        ),
    }
)
DEFAULT_CAMERAS = ("corner2", "gripperPOV")
EMBODIMENT = "sawyer"
SUCCESS_RULE = "the benchmark's own predicate of the task, true at any step of the episode"
_SCENES_KEPT = 6
_MARKS = ("benchmark", "neutral", "vivid")
_OBJECT_RGB, _BUTTON_RGB = (0.05, 0.15, 1.0), (1.0, 0.9, 0.0)
_MARK_RGBA, _MARK_RADIUS_M = (0.0, 0.9, 0.0, 1.0), 0.02
_PARTS = (
    ActionPart(name="hand", dim=3, representation="ee_position_delta", frame="world", scale=0.01),
    ActionPart(name="gripper", dim=1, representation="gripper", polarity="positive_closes"),
)
_STATE = (
    StatePart(name="hand_position", dim=3, units="m", frame="world"),
    StatePart(name="gripper_opening", dim=1, units="normalized"),
)


def build(config: EnvConfig) -> MetaWorldEnv:
    """A Meta-World environment; simulators are built at the first `reset` of their task."""
    return MetaWorldEnv(config)


class MetaWorldEnv:
    """The fifty tasks behind one `Env`; one simulator a task is kept once built."""

    def __init__(self, config: EnvConfig) -> None:
        self.tasks = _tasks(config)
        self._config = config
        marks = _option(config, "marks", _MARKS)
        self._neutral, self._vivid = marks != "benchmark", marks == "vivid"
        self._views = resolve_views(config, VIEWS, DEFAULT_CAMERAS)
        self._profile = profile(config.profile)
        self.horizon = config.horizon or HORIZON
        name = f"{self._profile.name}, {marks} marks" if self._neutral else self._profile.name
        self.contract = _contract(self._views, name)
        self.provenance = Provenance(
            environment="metaworld",
            profile=name,
            cameras=tuple(view.describe() for view in self._views),
            versions=installed("metaworld", "mujoco"),
            success_rule=SUCCESS_RULE,
        )
        self._simulations: dict[tuple[str, str], Simulation] = {}
        self._painters: dict[str, Painter] = {}
        self._task = self._scene_task = ""
        self._mark: Floats = np.zeros(3)
        self._synced: set[str] = set()
        self._placed: set[str] = set()
        self._steps = 0

    def reset(self, task: str, seed: int) -> Observation:
        """Start an episode of `task`, or of `task@scene` in the scene of a partner. Raises `UnknownNameError`."""
        name, scene = self._parse(task)
        self._task, self._scene_task, self._steps = name, scene, 0
        self._placed.clear()
        self._synced.clear()
        simulation = self._scene()
        if simulation.rate_hz != RATE_HZ:
            raise EnvironmentFailure(f"{scene} runs at {simulation.rate_hz} Hz, the contract says {RATE_HZ}")
        simulation.reset(seed)
        self._mark = mark_position(simulation, seed)
        self._dress(simulation)
        return self._sense()

    def step(self, action: Array) -> StepResult:
        """One control period of 12.5 ms; `action` (4,) is cut to [-1, 1]. Raises `NotFiniteError`, `ShapeError`."""
        check_actions(action, self.contract.action, where=f"metaworld {self._task}")
        self._synced.clear()
        reward, success = self._scene().step(np.asarray(action, np.float64))
        if self._task != self._scene_task:
            success, reward = self.judge(self._task), 0.0
        self._steps += 1
        terminated = success and self._config.success_ends
        truncated = self._steps >= self.horizon
        return self._sense(), reward, terminated, truncated, {"success": success}

    def observe(self) -> Observation:
        """State and pictures now, (1 1 ...)."""
        simulation = self._scene()
        painter = self._painters.get(self._scene_task)
        if painter is None:
            painter = Painter(simulation.model, self._views, self._profile, ROTATED)
            self._painters[self._scene_task] = painter
        images = painter.draw(simulation.data)
        return replace(self._sense(), images={name: image[None, None] for name, image in images.items()})

    def instructions(self, task: str, split: Split = "canonical") -> tuple[str, ...]:
        """The sentences of a task."""
        return SENTENCES[self._parse(task)[0]].of(split)

    def judge(self, task: str) -> bool:
        """Whether the predicate of `task`, the scene's own or one that shares it, holds now."""
        return self._through(task.split("@")[0]).holds()

    def scene_partners(self, task: str) -> tuple[str, ...]:
        """Other tasks, not done from the start, that can be asked for as `partner@scene` in the scene of `task`."""
        name, scene = self._parse(task)
        return tuple(other for other in (scene, *partners(scene, marked=self._neutral)) if other != name)

    def expert_observation(self) -> Floats:
        """The benchmark's own 39 numbers, object and goal positions included, for scripted experts only."""
        return self._through(self._task).raw

    def close(self) -> None:
        """Free simulators and graphics memory."""
        for painter in self._painters.values():
            painter.close()
        for simulation in self._simulations.values():
            simulation.close()
        self._painters.clear()
        self._simulations.clear()

    def _parse(self, task: str) -> tuple[str, str]:
        name, _, scene = task.partition("@")
        scene = scene or name
        chosen("task", (name, scene), TASKS)
        if name != scene and name not in judgeable(scene, marked=self._neutral):
            raise unknown(f"partner of {scene}", name, judgeable(scene, marked=self._neutral))
        return name, scene

    def _scene(self) -> Simulation:
        if not self._scene_task:
            raise EnvironmentFailure("reset comes before step, observe and judge")
        return self._simulation(self._scene_task, self._scene_task)

    def _simulation(self, scene: str, task: str) -> Simulation:
        key = (scene, task)
        if key not in self._simulations:
            self._forget()
            self._simulations[key] = Simulation(task)
            if self._vivid:
                self._simulations[key].paint("obj", _OBJECT_RGB)
                self._simulations[key].paint(self._simulations[key].body_with("buttonStart"), _BUTTON_RGB)
        return self._simulations[key]

    def _forget(self) -> None:
        """Let the scene that was built first go when too many are held: one with its pictures takes about 60 MB."""
        scenes = list(dict.fromkeys(scene for scene, _ in self._simulations))
        for scene in scenes[: max(0, len(scenes) - _SCENES_KEPT + 1)]:
            if scene == self._scene_task:
                continue
            if scene in self._painters:
                self._painters.pop(scene).close()
            for key in [key for key in self._simulations if key[0] == scene]:
                self._simulations.pop(key).close()

    def _through(self, task: str) -> Simulation:
        """The present scene as `task` sees it: the scene itself, or a twin that has adopted its state."""
        scene = self._scene()
        if task == self._scene_task:
            return scene
        self._parse(f"{task}@{self._scene_task}")
        twin = self._simulation(self._scene_task, task)
        if task not in self._placed:
            twin.reset_at(PLACEMENTS[self._scene_task, task](scene, self._mark))
            self._placed.add(task)
        if task not in self._synced:
            twin.adopt(scene)
            self._synced.add(task)
        return twin

    def _dress(self, simulation: Simulation) -> None:
        if not self._neutral:
            return
        site = mark_site(simulation.task)
        simulation.dress(site, self._mark, _MARK_RGBA, _MARK_RADIUS_M)

    def _sense(self) -> Observation:
        return Observation(
            state=self._scene().proprioception()[None, None],
            instruction=SENTENCES[self._task].canonical,
            embodiment=EMBODIMENT,
            time_s=np.array([[self._steps / RATE_HZ]]),
        )


def _contract(views: tuple[CameraView, ...], profile_name: str) -> Contract:
    return Contract(
        observation=ObservationSpec(
            cameras=tuple(view.spec(profile_name) for view in views), state=_STATE, rate_hz=RATE_HZ
        ),
        action=ActionSpec(parts=_PARTS, rate_hz=RATE_HZ),
        embodiment=EMBODIMENT,
    )


def _tasks(config: EnvConfig) -> tuple[str, ...]:
    for name in config.tasks:
        chosen("task", (name.split("@")[0], name.split("@")[-1]), TASKS)
    return config.tasks or TASKS


def _option(config: EnvConfig, name: str, values: tuple[str, ...]) -> str:
    options: Mapping[str, Any] = config.options or {}
    for key in options:
        if key != name:
            raise unknown("option of metaworld", key, (name,))
    value = str(options.get(name, values[0]))
    if value not in values:
        raise ConfigError(f"{name} is one of {values}, got {value!r}", leaf=f"options.{name}")
    return value
