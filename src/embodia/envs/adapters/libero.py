"""LIBERO and LIBERO-PRO: 130 language-conditioned manipulation tasks for a Panda arm and 160 perturbed ones.

A task is "<suite>/<name>"; "<suite>/<index>" and, in `EnvConfig.tasks`, a whole "<suite>" are understood too.
"A@B" asks for task A, sentence and predicate, in the scene of its partner B, and "<suite>@<suite>" for each task of a
suite in the scene of each of its partners. Seeds below the number of start states that the benchmark ships (50) name
those; from there on the benchmark's own placement draws new starts, so seeds of training never meet the starts of
evaluation. With the option `places=traded` objects of drawn starts trade places, as far as the sentence stays true, so
that a policy has to look for them.
The one thing to watch: action 6 moves the fingers by its sign only (positive closes, zero holds), ramping over steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from embodia.core.errors import ConfigError, EnvironmentFailure
from embodia.core.names import unknown
from embodia.core.provenance import Provenance
from embodia.core.specs import ActionPart, ActionSpec, Contract, ObservationSpec, StatePart
from embodia.core.types import Array, Observation, check_actions
from embodia.envs.adapters._foreign import pose_delta
from embodia.envs.adapters._libero_bddl import Atom, Problem, exchangeable, goal_in_scene, read
from embodia.envs.adapters._libero_language import held_out_sentences, train_sentences
from embodia.envs.adapters._libero_sim import (
    HIDDEN_GEOM_GROUPS,
    PACKAGE,
    RATE_HZ,
    Simulation,
    start_states,
    task_files,
)
from embodia.envs.drawing import Painter
from embodia.envs.profiles import profile
from embodia.envs.protocol import CameraView, EnvConfig, Split, StepResult, resolve_views
from embodia.envs.versions import installed

STANDARD = ("libero_spatial", "libero_object", "libero_goal", "libero_10", "libero_90")
PERTURBED = tuple(f"{suite}_{kind}" for suite in STANDARD[:4] for kind in ("lan", "object", "swap", "task"))
HORIZONS: Mapping[str, int] = MappingProxyType(
    {"libero_spatial": 220, "libero_object": 280, "libero_goal": 300, "libero_10": 520, "libero_90": 400}
)
VIEWS: Mapping[str, CameraView] = MappingProxyType(
    {
        "agentview": CameraView(name="agentview"),
        "wrist": CameraView(name="wrist", source="robot0_eye_in_hand"),
        "frontview": CameraView(name="frontview"),
    }
)
DEFAULT_CAMERAS = ("agentview", "wrist")
EMBODIMENT = "panda"
SETTLE_STEPS = 10
SUCCESS_RULE = "all predicates of the task file's goal hold at once, at any step of the episode after objects settled"
_OPTIONS = ("settle_steps", "places")
_PLACES = ("shipped", "traded")
_PARTS = (
    *pose_delta(position_m=0.05, rotation_rad=0.5, frame="world"),
    ActionPart(name="gripper", dim=1, representation="gripper", polarity="positive_closes"),
)
_STATE = (
    StatePart(name="hand_position", dim=3, units="m", frame="world"),
    StatePart(name="hand_axis_angle", dim=3, units="rad", frame="world"),
    StatePart(name="finger_position", dim=2, units="m"),
)


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A named set of tasks; `perturbed` marks those of LIBERO-PRO, `horizon` is the usual limit in control steps."""

    name: str
    tasks: tuple[str, ...]
    horizon: int
    perturbed: bool


def suites() -> tuple[Suite, ...]:
    """The 5 suites of LIBERO and the 16 of LIBERO-PRO. Raises `MissingExtraError` when the package is missing."""
    names, _, _ = task_files()
    return tuple(
        Suite(
            name=suite,
            tasks=tuple(f"{suite}/{name}" for name in names[suite]),
            horizon=_horizon(suite),
            perturbed=suite in PERTURBED,
        )
        for suite in STANDARD + PERTURBED
    )


def build(config: EnvConfig) -> LiberoEnv:
    """A LIBERO environment; the simulator is built at the first `reset`. Raises `MissingExtraError`, `ConfigError`."""
    return LiberoEnv(config)


class LiberoEnv:
    """All suites behind one `Env`; one scene is kept, and built anew only when a task needs another."""

    def __init__(self, config: EnvConfig) -> None:
        self._files = _Files()
        self.tasks = self._files.expand(config.tasks)
        self._config = config
        self._settle_steps, self._trades = _settle_steps(config), _trades(config)
        self._views = resolve_views(config, VIEWS, DEFAULT_CAMERAS)
        self._profile = profile(config.profile)
        self.contract = Contract(
            observation=ObservationSpec(
                cameras=tuple(view.spec(config.profile) for view in self._views), state=_STATE, rate_hz=RATE_HZ
            ),
            action=ActionSpec(parts=_PARTS, rate_hz=RATE_HZ),
            embodiment=EMBODIMENT,
        )
        self.provenance = Provenance(
            environment="libero",
            profile=config.profile,
            cameras=tuple(view.describe() for view in self._views),
            versions=installed(PACKAGE, "mujoco", "robosuite"),
            success_rule=SUCCESS_RULE,
        )
        self._scene = ""
        self._task = self._scene_task = ""
        self._goal: tuple[Atom, ...] = ()
        self._simulation: Simulation | None = None
        self._painter: Painter | None = None
        self._steps = 0

    def reset(self, task: str, seed: int) -> Observation:
        """Start an episode of `task`, or of `task@scene`. Raises `UnknownNameError` or `EnvironmentFailure`."""
        name, scene = self._parse(task)
        self._goal = self._goal_of(name, scene)
        simulation = self._load(scene)
        states = self._files.states(scene)
        shipped = states[seed] if 0 <= seed < len(states) else None
        asked = replace(self._files.problem(scene), goal=self._goal)
        trading = exchangeable(asked) if self._trades and shipped is None else ()
        simulation.reset(seed, shipped, self._settle_steps, trading)
        self._task, self._scene_task, self._steps = name, scene, 0
        return self._sense()

    def step(self, action: Array) -> StepResult:
        """One control period of 50 ms; `action` (7,) is cut to [-1, 1]. Raises `NotFiniteError`, `ShapeError`.

        Physics that diverges ends the episode as truncated, with `info["unstable"]`.
        """
        simulation = self.simulation
        check_actions(action, self.contract.action, where=f"libero {self._task}")
        stable = simulation.step(np.asarray(action, np.float64))
        success = stable and simulation.holds(self._goal)
        self._steps += 1
        terminated = success and self._config.success_ends
        truncated = not stable or self._steps >= self.horizon
        return self._sense(), float(success), terminated, truncated, {"success": success, "unstable": not stable}

    def observe(self) -> Observation:
        """State and pictures now, (1 1 ...)."""
        simulation = self.simulation
        if self._painter is None:
            self._painter = Painter(simulation.model, self._views, self._profile, hidden=HIDDEN_GEOM_GROUPS)
        images = self._painter.draw(simulation.data)
        return replace(self._sense(), images={name: image[None, None] for name, image in images.items()})

    def instructions(self, task: str, split: Split = "canonical") -> tuple[str, ...]:
        """The task file's sentence, paraphrases to train on, or those kept for evaluation."""
        name, _ = self._parse(task)
        sentence = self._files.problem(name).sentence
        if split == "canonical":
            return (sentence,)
        if split == "train":
            return train_sentences(sentence, self._files.paraphrase(name))
        return held_out_sentences(sentence, self._files.paraphrase(name))

    def judge(self, task: str) -> bool:
        """Whether the goal of the scene's own task, or of a partner, holds now. Raises `UnknownNameError`."""
        simulation = self.simulation
        name = self._files.resolve(task.split("@")[0])
        return simulation.holds(self._goal_of(name, self._scene_task))

    def scene_partners(self, task: str) -> tuple[str, ...]:
        """Other tasks that can be judged, and asked for as `partner@scene`, in the scene of `task`."""
        name, scene = self._parse(task)
        return tuple(other for other in (scene, *self._files.partners(scene)) if other != name)

    @property
    def simulation(self) -> Simulation:
        """The scene that is played, for scripted experts only. Raises `EnvironmentFailure` before the first reset."""
        if self._simulation is None or not self._task:
            raise EnvironmentFailure("reset comes before step, observe and judge")
        return self._simulation

    @property
    def goal(self) -> tuple[Atom, ...]:
        """What must hold at the end of the present episode; empty before the first reset."""
        return self._goal

    @property
    def horizon(self) -> int:
        """Control steps after which the present episode is truncated."""
        return self._config.horizon or _horizon(self._scene_task.split("/")[0])

    def close(self) -> None:
        """Free the scene and graphics memory."""
        if self._painter is not None:
            self._painter.close()
        if self._simulation is not None:
            self._simulation.close()
        self._simulation = self._painter = None
        self._scene = self._task = self._scene_task = ""

    def _parse(self, task: str) -> tuple[str, str]:
        asked, _, scene = task.partition("@")
        name = self._files.resolve(asked)
        return name, self._files.resolve(scene) if scene else name

    def _goal_of(self, name: str, scene: str) -> tuple[Atom, ...]:
        if name == scene:
            return self._files.problem(name).goal
        goal = goal_in_scene(self._files.problem(name), self._files.problem(scene))
        if goal is None:
            raise unknown(f"partner of {scene}", name, self._files.partners(scene))
        return goal

    def _load(self, scene: str) -> Simulation:
        wanted = self._files.problem(scene).scene
        if self._simulation is None or wanted != self._scene:
            self.close()
            self._simulation, self._scene = Simulation(self._files.path(scene)), wanted
        return self._simulation

    def _sense(self) -> Observation:
        return Observation(
            state=self.simulation.proprioception()[None, None],
            instruction=self.instructions(self._task),
            embodiment=EMBODIMENT,
            time_s=np.array([[self._steps / RATE_HZ]]),
        )


class _Files:
    """The task files and start states, read when first needed."""

    def __init__(self) -> None:
        names, self._tasks, self._starts = task_files()
        self._names = {suite: tuple(names[suite]) for suite in STANDARD + PERTURBED}
        self._problems: dict[str, Problem] = {}
        self._states: dict[str, Array] = {}
        self._partners: dict[str, tuple[str, ...]] = {}

    def expand(self, wanted: tuple[str, ...]) -> tuple[str, ...]:
        """Full names of the wanted tasks, in order; a suite stands for all its tasks, nothing for everything."""
        found: list[str] = []
        for item in wanted or tuple(self._names):
            found.extend(self._of_sets(item) or [self._resolve_pair(item)])
        return tuple(dict.fromkeys(found))

    def _of_sets(self, item: str) -> list[str]:
        """The tasks of a suite, or with its name twice its pairs of partners; empty for anything else."""
        suite, _, scenes = item.partition("@")
        if suite not in self._names or scenes not in ("", suite):
            return []
        own = self._of_suite(suite)
        return [f"{other}@{scene}" for scene in own for other in self.partners(scene)] if scenes else own

    def resolve(self, task: str) -> str:
        """The full name of "<suite>/<name>" or "<suite>/<index>". Raises `UnknownNameError`."""
        suite, _, name = task.partition("/")
        if suite not in self._names:
            raise unknown("suite", suite, self._names)
        names = self._names[suite]
        if name.isascii() and name.isdigit() and int(name) < len(names):
            return f"{suite}/{names[int(name)]}"
        if name not in names:
            raise unknown("task", task, self._of_suite(suite))
        return f"{suite}/{name}"

    def path(self, task: str) -> Path:
        """The task file."""
        return self._tasks / f"{task}.bddl"

    def problem(self, task: str) -> Problem:
        """What the task file says."""
        if task not in self._problems:
            self._problems[task] = read(self.path(task))
        return self._problems[task]

    def states(self, task: str) -> Array:
        """The shipped start states (N D)."""
        if task not in self._states:
            self._states[task] = start_states(self._starts / f"{task}.pruned_init")
        return self._states[task]

    def partners(self, scene: str) -> tuple[str, ...]:
        """Tasks of the same suite whose goal means something else than the scene's own, and can be judged there."""
        if scene not in self._partners:
            others = self._of_suite(scene.split("/")[0])
            mine = self.problem(scene)
            self._partners[scene] = tuple(
                other for other in others if other != scene and goal_in_scene(self.problem(other), mine) is not None
            )
        return self._partners[scene]

    def paraphrase(self, task: str) -> tuple[str, ...]:
        """The benchmark's own paraphrase of an unperturbed task; empty where it has none."""
        suite, name = task.split("/")
        other = f"{suite}_lan"
        return (self.problem(f"{other}/{name}").sentence,) if name in self._names.get(other, ()) else ()

    def _of_suite(self, suite: str) -> list[str]:
        return [f"{suite}/{name}" for name in self._names[suite]]

    def _resolve_pair(self, task: str) -> str:
        return "@".join(self.resolve(part) for part in task.split("@", 1))


def _horizon(suite: str) -> int:
    return next(steps for name, steps in HORIZONS.items() if suite == name or suite.startswith(f"{name}_"))


def _trades(config: EnvConfig) -> bool:
    places = str((config.options or {}).get("places", _PLACES[0]))
    if places not in _PLACES:
        raise unknown("choice of places", places, _PLACES)
    return places == "traded"


def _settle_steps(config: EnvConfig) -> int:
    for key in config.options or {}:
        if key not in _OPTIONS:
            raise unknown("option of libero", key, _OPTIONS)
    value = str((config.options or {}).get("settle_steps", SETTLE_STEPS))
    if not (value.isascii() and value.isdigit()):
        raise ConfigError(f"settle_steps is a number of control steps, got {value!r}", leaf="options.settle_steps")
    return int(value)
