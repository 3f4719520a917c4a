"""Desk behind the `Env` protocol: tasks with sentences for one body, one control, the senses that are asked for.

Options: `body` (arm7, arm6, bimanual, mobile, hand), `control` (ee, joint), `senses` (names joined by commas), `knob`
(code of an axis of `knobs`) and its `strength` (0 to 1; its sentence is `sentence` of the same task and seed). The
state is proprioception only. The one thing to watch: predicates of partners start to watch at `reset`, and are asked
only when `judge` is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from embodia.core.errors import ConfigError, EnvironmentFailure, MissingExtraError
from embodia.core.names import unknown
from embodia.core.provenance import Provenance
from embodia.core.seeds import generator
from embodia.core.specs import Contract, ObservationSpec
from embodia.core.types import Array, Observation, check_actions
from embodia.envs.profiles import profile
from embodia.envs.protocol import CameraView, EnvConfig, Split, StepResult, chosen, resolve_views
from embodia.envs.simulated import refuse_options
from embodia.envs.versions import installed

if TYPE_CHECKING:
    from embodia.envs.chaining import SceneState, Skill
    from embodia.envs.desk.knobs import Filter, Trial
    from embodia.envs.desk.scenes import Scene
    from embodia.envs.desk.tasks import Memory
    from embodia.envs.desk.world import World

BODY_OPTION = ("arm7", "arm6", "bimanual", "mobile", "hand")
"""What the option `body` may be."""
DEFAULT_CAMERAS = ("front",)
SUCCESS_RULE = "the predicate of the task, true at any step of the episode"
_OPTIONS = ("body", "control", "senses", "knob", "strength")


def build(config: EnvConfig) -> DeskEnv:
    """A Desk environment. Raises `MissingExtraError` without MuJoCo."""
    try:
        import mujoco  # noqa: F401
        import numba  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"Desk needs the package {error.name!r}", cure='Install it with: pip install "embodia[desk]"'
        ) from error
    return DeskEnv(config)


class DeskEnv:
    """The desk for one body; `world` is the scene of the present episode, for experts and tests."""

    def __init__(self, config: EnvConfig) -> None:
        from embodia.envs.desk import bodies, build, control, senses, tasks
        from embodia.envs.desk.tasks import chain

        options = _options(config)
        self._config, self._tasks, self._chains = config, tasks, chain
        self._knob, self._strength = options.get("knob", ""), _strength(options)
        self._names = tasks.names(body=options.get("body", "arm7"))
        self._body = bodies.body(_body(options))
        self._control: control.Control = "joint" if options.get("control", "ee") == "joint" else "ee"
        self.tasks = chosen("task", config.tasks, self._names)
        self._views = resolve_views(config, senses.views(self._body), DEFAULT_CAMERAS)
        self._profile = profile(config.profile)
        self._models = build.Models()
        self._senses = senses.Senses(self._body, self._views, self._profile, options.get("senses", "rgb"))
        self.horizon = config.horizon or round(self._body.horizon_s * self._body.rate_hz)
        self.contract = Contract(
            observation=ObservationSpec(
                cameras=tuple(view.spec(self._profile.name) for view in self._views),
                state=senses.state_parts(self._body),
                rate_hz=self._body.rate_hz,
                senses=self._senses.specs,
            ),
            action=control.action_spec(self._body, self._control),
            embodiment=f"desk-{self._body.name}",
        )
        self.provenance = Provenance(
            environment="desk",
            profile=self._profile.name,
            cameras=tuple(view.describe() for view in self._views),
            versions=installed("mujoco"),
            success_rule=SUCCESS_RULE,
        )
        self._world: World | None = None
        self._task, self._steps = "", 0
        self._meant: dict[str, str] = {}
        self._filter: Filter | None = None
        self._memories: dict[str, Memory] = {}

    @property
    def world(self) -> World:
        """The scene of this episode. Raises `EnvironmentFailure` before the first `reset`."""
        if self._world is None:
            raise EnvironmentFailure("reset comes before step, observe and judge")
        return self._world

    @property
    def task(self) -> str:
        """The task of this episode."""
        return self._task

    def reset(self, task: str, seed: int) -> Observation:
        """Start an episode of `task`: a scene drawn from (task, seed). Raises `UnknownNameError`."""
        self._parse(task)
        if self._knob:
            return self._turned(task, seed)
        return self.start(task, self._with_body(task, self._tasks.get(task).scene(generator(seed, "desk", task))))

    def start(self, task: str, scene: Scene) -> Observation:
        """Start an episode of `task` in a given `Scene`, for knobs and tests."""
        from embodia.envs.desk.world import World

        if scene.body != self._body.name:
            raise ConfigError(f"a scene for {scene.body}, the environment has {self._body.name}", leaf="body")
        self._world = World(scene, control=self._control, models=self._models)
        self._world.settle()
        self._watch(task)
        self._meant, self._filter = {}, None
        return self._sense()

    def play(self, task: str, trial: Trial) -> Observation:
        """Start a trial under the name `task`, whatever task the trial itself asks for."""
        self.start(trial.task, self._with_body(trial.task, trial.scene))
        self._task, self._meant, self._filter = task, {task: trial.task}, trial.filter
        return replace(self._sense(), instruction=(trial.sentence,))

    def step(self, action: Array) -> StepResult:
        """One control period under `action` (A,), cut to [-1, 1]. Raises `NotFiniteError`, `ShapeError`."""
        check_actions(action, self.contract.action, where=f"desk {self._task}")
        self.world.apply(np.asarray(action, np.float64))
        self._steps += 1
        success = self.judge(self._task)
        terminated = success and self._config.success_ends
        return self._sense(), float(success), terminated, self._steps >= self.horizon, {"success": success}

    def observe(self) -> Observation:
        """State and the senses asked for now, (1 1 ...)."""
        seen = replace(self._sense(), **self._senses.see(self.world))
        if self._filter is None:
            return seen
        return replace(seen, images={name: self._filter(image) for name, image in seen.images.items()})

    def instructions(self, task: str, split: Split = "canonical") -> tuple[str, ...]:
        """The sentences of a task."""
        self._parse(task)
        return self._tasks.get(task).sentences(split)

    def judge(self, task: str) -> bool:
        """Whether the predicate of `task`, the episode's own or a partner's, holds now."""
        meant = self._meant.get(task, task)
        if meant not in self._memories:
            raise unknown(f"task judged in the scene of {self._task}", task, self._memories)
        return self._tasks.get(meant).success(self.world, self._memories[meant])

    def scene_partners(self, task: str) -> tuple[str, ...]:
        """Other tasks that can be judged in every scene of `task`."""
        self._parse(task)
        return self._tasks.get(task).partners

    def skills(self) -> tuple[Skill, ...]:
        """The tasks of the scene in which tasks can follow one another."""
        return self._chains.SKILLS if self._body.name == "arm7" else ()

    def starts(self) -> tuple[SceneState, ...]:
        """The states in which a chain may begin."""
        return self._chains.STARTS if self._body.name == "arm7" else ()

    def begin(self, start: SceneState, task: str, seed: int) -> Observation:
        """Lay the scene of chains in the state `start` and ask for `task`."""
        self._parse(task)
        return self.start(task, self._chains.lay(start, generator(seed, "desk", "chain")))

    def ask(self, task: str) -> Observation:
        """Ask for another task in the scene as it is; its predicate counts from now."""
        self._parse(task)
        self._watch(task)
        return self._sense()

    def close(self) -> None:
        """Free graphics memory."""
        self._senses.close()

    def _watch(self, task: str) -> None:
        self._task, self._steps = task, 0
        watched = (task, *self._tasks.get(task).partners, *self._reachable())
        self._memories = {name: self._tasks.get(name).begin(self.world) for name in watched}

    def _with_body(self, task: str, scene: Scene) -> Scene:
        """The scene with the body of this environment in it, where that one can do the task."""
        if scene.body == self._body.name or self._body.name not in self._tasks.get(task).bodies:
            return scene
        return replace(scene, body=self._body.name, start_joints=())

    def _parse(self, task: str) -> None:
        chosen("task", (task,), self._names)

    def _turned(self, task: str, seed: int) -> Observation:
        """The trial of (task, seed) with the knob turned, or the plain one where the axis or the body does not fit."""
        from embodia.envs.desk import knobs

        plain = knobs.trial(task, seed)
        turned = knobs.turned(plain, self._knob, self._strength, seed)
        able = turned is not None and self._with_body(turned.task, turned.scene).body == self._body.name
        return self.play(task, turned if turned is not None and able else plain)

    def _reachable(self) -> tuple[str, ...]:
        """Tasks of reaching each thing that is there: they show what a policy intends."""
        names = (f"reach/{thing.name}" for thing in self.world.scene.things)
        return tuple(name for name in names if name in self._tasks.registry())

    def _sense(self) -> Observation:
        return Observation(
            state=self._senses.state(self.world)[None, None],
            instruction=self._tasks.get(self._meant.get(self._task, self._task)).sentences("canonical"),
            embodiment=self.contract.embodiment,
            time_s=np.array([[self._steps / self._body.rate_hz]]),
        )


def _options(config: EnvConfig) -> Mapping[str, str]:
    options = config.options or {}
    refuse_options("desk", config, _OPTIONS)
    if options.get("control", "ee") not in ("ee", "joint"):
        raise ConfigError(f"control is ee or joint, got {options['control']!r}", leaf="options.control")
    return options


def _body(options: Mapping[str, str]) -> str:
    """The body that acts: the knob of another body puts that one in its place."""
    from embodia.envs.desk.knobs.behavioural import ANOTHER_BODY, OTHER_BODY

    own, swapped = options.get("body", "arm7"), options.get("knob") == ANOTHER_BODY and _strength(options) > 0
    if swapped and own != "arm7":
        raise ConfigError(f"the knob puts {OTHER_BODY} in the place of arm7, not of {own}", leaf="options.body")
    return OTHER_BODY if swapped else own


def _strength(options: Mapping[str, str]) -> float:
    try:
        return float(options.get("strength", "1"))
    except ValueError as error:
        raise ConfigError(f"a strength is a number, got {options['strength']!r}", leaf="options.strength") from error


__all__ = ["CameraView", "DeskEnv", "build"]
