"""CALVIN: 34 tasks at one table with a slider, a drawer, two lamps and three blocks, made to be chained.

Actions are relative: the hand by a fiftieth of a metre and a twentieth of a radian a unit, the gripper opens on 1 and
closes on -1, at 30 Hz. What was done is judged by the benchmark's own oracle, from the moment at which it was asked.
Options: `dataset`, a folder of the data set (its `.hydra` describes scene and cameras), and `settings`, the benchmark's
`calvin_models/conf`. Source: "CALVIN: A Benchmark for Language-Conditioned Policy Learning for Long-Horizon Robot
Manipulation Tasks", 2022, arXiv 2112.03227; API of `calvin_env` and `calvin_agent`.
The one thing to watch: the benchmark accepts no gripper command but -1 and 1, so the sign of the action is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from embodia.core.errors import ConfigError, EnvironmentFailure, MissingFileError
from embodia.core.provenance import Provenance
from embodia.core.specs import ActionPart, ActionSpec, Contract, ObservationSpec, StatePart
from embodia.core.types import Array, Observation, check_actions
from embodia.envs.adapters._calvin_skills import skills, starts
from embodia.envs.adapters._foreign import absent, require, seeded, sized, spoken, vector
from embodia.envs.adapters._mujoco import quiet
from embodia.envs.chaining import SceneState, Skill, draw_chain
from embodia.envs.protocol import CameraView, EnvConfig, Split, StepResult, chosen, resolve_views
from embodia.envs.simulated import refuse_options
from embodia.envs.versions import installed

SKILLS = skills()
TASKS = tuple(skill.task for skill in SKILLS)
RATE_HZ = 30.0
HORIZON = 360
EMBODIMENT = "panda"
VIEWS: Mapping[str, CameraView] = MappingProxyType({name: CameraView(name=name) for name in ("static", "gripper")})
_OPTIONS = ("dataset", "settings")
_ORACLE = "callbacks/rollout/tasks/new_playtable_tasks.yaml"
_SENTENCES = "annotations/new_playtable_validation.yaml"
_PARTS = (
    ActionPart(name="hand_position", dim=3, representation="ee_position_delta", frame="world", scale=0.02),
    ActionPart(
        name="hand_rotation", dim=3, representation="ee_rotation_delta", frame="world", rotation="euler_xyz", scale=0.05
    ),
    ActionPart(name="gripper", dim=1, representation="gripper", polarity="positive_opens"),
)
_STATE = (
    StatePart(name="hand_position", dim=3, units="m", frame="world"),
    StatePart(name="hand_euler_xyz", dim=3, units="rad", frame="world"),
    StatePart(name="gripper_width", dim=1, units="m"),
    StatePart(name="joint_position", dim=7, units="rad"),
    StatePart(name="gripper_action", dim=1),
)


def build(config: EnvConfig) -> CalvinEnv:
    """The 34 tasks; the table is built at the first `reset`. Raises `MissingExtraError`."""
    require("calvin", "calvin_env", "CALVIN")
    return CalvinEnv(config)


class CalvinEnv:
    """One table for all tasks; it is an `Env` and `Chainable`."""

    def __init__(self, config: EnvConfig) -> None:
        refuse_options("calvin", config, _OPTIONS)
        self.tasks = chosen("task of calvin", config.tasks, TASKS)
        self._config, self._options = config, dict(config.options or {})
        self._views = resolve_views(config, VIEWS, tuple(VIEWS))
        self.horizon = config.horizon or HORIZON
        self.contract = Contract(
            observation=ObservationSpec(
                cameras=tuple(view.spec(config.profile) for view in self._views), state=_STATE, rate_hz=RATE_HZ
            ),
            action=ActionSpec(parts=_PARTS, rate_hz=RATE_HZ),
            embodiment=EMBODIMENT,
        )
        self.provenance = Provenance(
            environment="calvin",
            profile=config.profile,
            cameras=tuple(view.describe() for view in self._views),
            versions=installed("calvin_env", "pybullet"),
            success_rule="the benchmark's oracle finds the task between the moment it was asked and now",
        )
        self._table: _Table | None = None
        self._sentences = dict(spoken(TASKS))
        self._said: dict[str, str] = {}
        self._task, self._steps = "", 0
        self._asked_at: Any = None

    def reset(self, task: str, seed: int) -> Observation:
        """Ask for `task` in one of the states in which it can be asked for, drawn under `seed`."""
        name = chosen("task of calvin", (task,), TASKS)[0]
        links = [skill for skill in SKILLS if skill.task == name]
        reachable = tuple(start for start in starts() if any(case.fits(start) for case in links[0].cases))
        if not reachable:
            raise EnvironmentFailure(f"{name} only follows another task; play it in a chain", leaf=name)
        return self.begin(draw_chain(links, reachable, 1, seed).start, name, seed)

    def begin(self, start: SceneState, task: str, seed: int) -> Observation:
        """Put the scene into `start` and ask for `task`."""
        if self._table is None:
            self._table = _Table(self._options)
            self._said = self._table.sentences
        self._table.reset(start, seed)
        return self.ask(task)

    def ask(self, task: str) -> Observation:
        """Ask for `task` from now on, in the scene as it is."""
        self._task, self._steps = chosen("task of calvin", (task,), TASKS)[0], 0
        self._asked_at = self._running().info()
        return self._sense()

    def step(self, action: Array) -> StepResult:
        """One control period of 33 ms. Raises `NotFiniteError`, `ShapeError`."""
        table = self._running()
        check_actions(action, self.contract.action, where=f"calvin {self._task}")
        table.step(np.clip(np.asarray(action, np.float64), -1.0, 1.0))
        self._steps += 1
        success = self.judge(self._task)
        terminated = success and self._config.success_ends
        return self._sense(), float(success), terminated, self._steps >= self.horizon, {"success": success}

    def observe(self) -> Observation:
        """State and pictures now, (1 1 ...)."""
        images = self._running().pictures()
        drawn = {view.name: sized(images[f"rgb_{view.source or view.name}"], view)[None, None] for view in self._views}
        return replace(self._sense(), images=drawn)

    def instructions(self, task: str, split: Split = "canonical") -> tuple[str, ...]:
        """The benchmark's sentence where it has been read, else the task's name."""
        name = chosen("task of calvin", (task,), TASKS)[0]
        if split == "canonical" and name in self._said:
            return (self._said[name],)
        return self._sentences[name].of(split)

    def judge(self, task: str) -> bool:
        """Whether `task` was done since the present one was asked for."""
        name = chosen("task of calvin", (task,), TASKS)[0]
        return self._running().done(self._asked_at, name)

    def scene_partners(self, task: str) -> tuple[str, ...]:
        """Other tasks that can be asked for wherever `task` can."""
        name = chosen("task of calvin", (task,), TASKS)[0]
        mine = next(skill for skill in SKILLS if skill.task == name)
        return tuple(
            other.task
            for other in SKILLS
            if other.task != name and all(any(theirs.fits(case.needs) for theirs in other.cases) for case in mine.cases)
        )

    def skills(self) -> tuple[Skill, ...]:
        """The tasks as links of chains."""
        return SKILLS

    def starts(self) -> tuple[SceneState, ...]:
        """The states in which a chain may begin."""
        return starts()

    def close(self) -> None:
        """Free the table."""
        if self._table is not None:
            self._table.close()
        self._table = None

    def _running(self) -> _Table:
        if self._table is None:
            raise EnvironmentFailure("reset comes before step, observe and judge")
        return self._table

    def _sense(self) -> Observation:
        return Observation(
            state=self._running().robot().astype(np.float32)[None, None],
            instruction=self.instructions(self._task),
            embodiment=EMBODIMENT,
            time_s=np.array([[self._steps / RATE_HZ]]),
        )


class _Table:
    """The benchmark's environment, its oracle and its sentences."""

    def __init__(self, options: Mapping[str, str]) -> None:
        try:
            with quiet():
                from calvin_agent.evaluation.utils import get_env_state_for_initial_condition
                from calvin_env.envs.play_table_env import get_env
                from calvin_env.envs.tasks import Tasks
                from omegaconf import OmegaConf
        except ModuleNotFoundError as error:
            raise absent("calvin", error.name, "CALVIN") from error
        dataset, settings = (_folder(options, name) for name in _OPTIONS)
        self._state_of = get_env_state_for_initial_condition
        oracle: Any = OmegaConf.to_container(OmegaConf.load(settings / _ORACLE))
        said: Any = OmegaConf.to_container(OmegaConf.load(settings / _SENTENCES))
        self._oracle = Tasks(oracle["tasks"])
        self.sentences = {task: str(words[0]) for task, words in said.items()}
        with quiet():
            self._env: Any = get_env(dataset, show_gui=False)
        self._sensed: Any = {}

    def reset(self, start: SceneState, seed: int) -> None:
        """Blocks, furniture and lamps as `start` says, their places drawn under `seed`."""
        words = {name: int(value) if value in ("0", "1") else value for name, value in start.items()}
        with seeded(seed):
            robot, scene = self._state_of({**words, "grasped": 0})
            self._sensed = self._env.reset(robot_obs=robot, scene_obs=scene)

    def step(self, action: Any) -> None:
        """One control period."""
        command = np.array(action)
        command[6] = 1.0 if command[6] > 0 else -1.0
        self._sensed = self._env.step(command)[0]

    def info(self) -> Any:
        """What the oracle compares."""
        return self._env.get_info()

    def done(self, before: Any, task: str) -> bool:
        """Whether the oracle finds `task` between `before` and now."""
        return task in self._oracle.get_task_info_for_set(before, self.info(), {task})

    def robot(self) -> Any:
        """Hand, fingers and joints (15,)."""
        return vector(self._sensed["robot_obs"])

    def pictures(self) -> Any:
        """The benchmark's pictures by its own names."""
        return self._sensed["rgb_obs"]

    def close(self) -> None:
        """Disconnect."""
        self._env.close()


def _folder(options: Mapping[str, str], name: str) -> Path:
    if name not in options:
        raise ConfigError(
            f"calvin needs the option {name}", leaf=f"options.{name}", cure="See the adapter's docstring."
        )
    folder = Path(options[name])
    if not folder.is_dir():
        raise MissingFileError("no such folder", file=folder, leaf=f"options.{name}")
    return folder
