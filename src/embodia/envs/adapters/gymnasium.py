"""Anything registered with Gymnasium whose actions are one box: a task is an environment id.

`EnvConfig(tasks=("HalfCheetah-v5",))`; without a name, Pendulum. State is what is observed, flat, or the vectors of a
dictionary in its order; pictures of a dictionary are cameras, and the camera `render` is what the environment draws.
Units are the environment's own, for Gymnasium states none. Ids of packages are known when these register themselves
(Gymnasium's plugins); an id is never a reason to import a module, because ids travel in files. The one thing to watch:
success is what `info` calls "success" or "is_success"; an environment that says neither never succeeds, and reward is
all there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, get_args

import gymnasium
import numpy as np
from gymnasium import spaces

from embodia.core.errors import ConfigError, EnvironmentFailure
from embodia.core.names import unknown
from embodia.core.provenance import Provenance
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, Representation, StatePart
from embodia.core.types import Array, Observation, changed, check_actions
from embodia.envs.protocol import CameraView, EnvConfig, Split, StepResult, chosen, resolve_views
from embodia.envs.simulated import refuse_options
from embodia.envs.versions import installed

OPTIONS = ("representation", "sentence", "rate_hz")
DEFAULT = ("Pendulum-v1",)
UNBOUNDED = 1e6
"""What a contract says where a box has no bound."""
_SUCCESS = ("success", "is_success")
_SAID: Mapping[Split, str] = MappingProxyType(
    {"canonical": "{}", "train": "Please: {}", "held_out": "Your task now: {}"}
)


def build(config: EnvConfig) -> GymnasiumEnv:
    """The environment. Raises `ConfigError` for tasks with other spaces than the first, `UnknownNameError`."""
    return GymnasiumEnv(config)


class GymnasiumEnv:
    """Gymnasium's environments behind the protocol; one is kept, and made anew only when another task is played."""

    def __init__(self, config: EnvConfig) -> None:
        options = dict(config.options or {})
        refuse_options("gymnasium", config, OPTIONS)
        self._config, self._options, self.tasks = config, options, config.tasks or DEFAULT
        self._task, self._where, self._env = "", "gymnasium", _make(self.tasks[0], config)
        self._keys, self._pictures = _sorted_keys(self._env.observation_space)
        self._views = self._chosen()
        if any(view.name == "render" for view in self._views):
            self._env.close()
            self._env = _make(self.tasks[0], config, render_mode="rgb_array")
        self.contract = self._contract()
        self._blank = Observation(embodiment=self.contract.embodiment)
        self._rate_hz = self.contract.action.rate_hz
        box = _box(self._env)
        self._low, self._high, self._shape = np.ravel(box.low), np.ravel(box.high), box.shape
        self.provenance = Provenance(
            environment="gymnasium",
            profile=config.profile,
            cameras=tuple(view.describe() for view in self._views),
            versions=installed("gymnasium", "mujoco"),
            success_rule='what info calls "success" or "is_success"',
        )
        self._made, self._steps, self._success = self.tasks[0], 0, False
        self._seen: Any = None
        self._said: tuple[str, ...] = ()

    def reset(self, task: str, seed: int) -> Observation:
        """Start an episode of the environment with that id. Raises `UnknownNameError`, `EnvironmentFailure`."""
        if task not in self.tasks:
            raise unknown("task", task, self.tasks)
        if task != self._made:
            self._change(task)
        self._task, self._steps, self._success, self._said = task, 0, False, self.instructions(task)
        self._where = f"gymnasium {task}"
        self._seen, _ = self._env.reset(seed=seed)
        return self._sense()

    def step(self, action: Array) -> StepResult:
        """One step; `action` (A,) is cut to the box. Raises `NotFiniteError`, `ShapeError`."""
        check_actions(action, self.contract.action, where=self._where)
        limited = np.minimum(np.maximum(action, self._low), self._high).reshape(self._shape)
        self._seen, reward, terminated, truncated, info = self._env.step(limited)
        self._steps += 1
        self._success = bool(info and any(info.get(name, False) for name in _SUCCESS))
        ends = terminated or (self._success and self._config.success_ends)
        over = truncated or bool(self._config.horizon and self._steps >= self._config.horizon)
        return self._sense(), float(reward), ends, over, {**info, "success": self._success}

    def observe(self) -> Observation:
        """What is sensed now, with the pictures asked for."""
        found = {}
        for view in self._views:
            picture = self._seen[view.name] if view.name in self._pictures else self._drawn()
            found[view.name] = np.ascontiguousarray(picture)[None, None]
        return changed(self._sense(), images=found)

    def judge(self, task: str) -> bool:
        """Whether the last step succeeded; only the running task can be judged. Raises `UnknownNameError`."""
        if task != self._task:
            raise unknown("task in this scene", task, (self._task,))
        return self._success

    def instructions(self, task: str, split: Split = "canonical") -> tuple[str, ...]:
        """The option `sentence`, else one with the id, and the same more politely."""
        if task not in self.tasks:
            raise unknown("task", task, self.tasks)
        said = self._options.get("sentence") or f"Do {task.rpartition('-v')[0] or task}."
        return (_SAID[split].format(said),)

    def scene_partners(self, task: str) -> tuple[str, ...]:
        """None: an id is a scene of its own. Raises `UnknownNameError`."""
        chosen("task", (task,), self.tasks)
        return ()

    def close(self) -> None:
        """Close the environment; may be called twice."""
        self._env.close()

    def _change(self, task: str) -> None:
        other = _make(task, self._config, render_mode=self._env.render_mode)
        if (other.action_space, other.observation_space) != (self._env.action_space, self._env.observation_space):
            other.close()
            raise ConfigError(
                f"{task} has other spaces than {self._made}", leaf="tasks", cure="One contract: name ids of one body."
            )
        self._env.close()
        self._env, self._made = other, task

    def _chosen(self) -> tuple[CameraView, ...]:
        sizes = {name: space.shape[:2] for name, space in self._pictures.items()}
        own = {name: CameraView(name=name, height=rows, width=columns) for name, (rows, columns) in sizes.items()}
        views = resolve_views(
            replace(self._config, cameras=self._config.cameras or tuple(own.values())),
            {**own, "render": CameraView(name="render")},
            (),
        )
        for view in views:
            if view.name in own and (view.height, view.width) != sizes[view.name]:
                raise ConfigError(
                    f"{view.name} is {sizes[view.name]}, asked for {(view.height, view.width)}",
                    leaf="cameras",
                    cure="Name no cameras, or set height and width to what the environment gives.",
                )
        return views

    def _drawn(self) -> Array:
        picture = self._env.render()
        wanted = next(view for view in self._views if view.name == "render")
        if not isinstance(picture, np.ndarray) or picture.shape != (wanted.height, wanted.width, 3):
            shape = getattr(picture, "shape", type(picture).__name__)
            raise EnvironmentFailure(f"{self._made} draws {shape}, asked for {wanted.height} x {wanted.width}")
        return picture

    def _sense(self) -> Observation:
        time_s = np.array([[self._steps / self._rate_hz]])
        return changed(self._blank, state=self._state(), instruction=self._said, time_s=time_s)

    def _state(self) -> Array | None:
        if not self._keys:
            return None
        if self._keys == ("",):
            return np.asarray(self._seen, np.float32).reshape(1, 1, -1)
        return np.concatenate([np.ravel(self._seen[key]) for key in self._keys], dtype=np.float32)[None, None]

    def _contract(self) -> Contract:
        box, rate = _box(self._env), self._rate()
        kind = self._options.get("representation", "joint_torque")
        if kind not in get_args(Representation):
            raise unknown("representation", kind, get_args(Representation))
        low, high = float(np.min(box.low)), float(np.max(box.high))
        part = ActionPart(
            name="action",
            dim=int(np.prod(box.shape)),
            representation=kind,  # type: ignore[arg-type]
            units="none",
            low=max(low, -UNBOUNDED),
            high=min(high, UNBOUNDED),
        )
        space = self._env.observation_space
        parts = {key: space[key] if isinstance(space, spaces.Dict) else space for key in self._keys}
        state = tuple(
            StatePart(name=key or "observation", dim=int(np.prod(found.shape or (1,)))) for key, found in parts.items()
        )
        cameras = tuple(
            CameraSpec(name=view.name, height=view.height, width=view.width, profile=self._config.profile)
            for view in self._views
        )
        return Contract(
            observation=ObservationSpec(cameras=cameras, state=state, rate_hz=rate),
            action=ActionSpec(parts=(part,), rate_hz=rate),
            embodiment=self.tasks[0],
        )

    def _rate(self) -> float:
        if "rate_hz" in self._options:
            try:
                return float(self._options["rate_hz"])
            except ValueError as error:
                raise ConfigError(f"{self._options['rate_hz']!r} is no rate", leaf="options.rate_hz") from error
        dt = getattr(self._env.unwrapped, "dt", None)
        return 1.0 / float(dt) if dt else float(self._env.metadata.get("render_fps", 0) or 30.0)


def _make(task: str, config: EnvConfig, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
    size = {"height": config.height, "width": config.width} if render_mode else {}
    if ":" in task:
        raise ConfigError(f"{task} would import a module", leaf="tasks", cure="Register it as a Gymnasium plugin.")
    try:
        spec = gymnasium.spec(task)
        sized = size if str(spec.entry_point).startswith("gymnasium.envs.mujoco") else {}
        shown: dict[str, Any] = {"render_mode": render_mode} if render_mode else {}
        env = gymnasium.make(spec, disable_env_checker=True, **shown, **sized)
    except gymnasium.error.Error as error:
        raise unknown("gymnasium id", task, sorted(gymnasium.registry)) from error
    except ImportError as error:
        raise EnvironmentFailure(f"{task} cannot be imported: {error}") from error
    if not isinstance(env.action_space, spaces.Box):
        raise ConfigError(f"{task} takes {env.action_space}, not one box of numbers", leaf="tasks")
    return env


def _box(env: gymnasium.Env[Any, Any]) -> spaces.Box:
    assert isinstance(env.action_space, spaces.Box)
    return env.action_space


def _sorted_keys(space: spaces.Space[Any]) -> tuple[tuple[str, ...], dict[str, spaces.Box]]:
    """Names of the vectors ("" for a plain box) and the boxes that are pictures."""
    if isinstance(space, spaces.Box):
        return ("",), {}
    if not isinstance(space, spaces.Dict):
        raise ConfigError(f"observations are {space}, not a box or a dictionary of boxes", leaf="tasks")
    boxes = {name: item for name, item in space.items() if isinstance(item, spaces.Box)}
    pictures = {name: item for name, item in boxes.items() if item.dtype == np.uint8 and len(item.shape) == 3}
    return tuple(name for name in boxes if name not in pictures), pictures
