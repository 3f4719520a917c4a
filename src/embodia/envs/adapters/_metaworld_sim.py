"""One Meta-World simulation whose reset is a pure function of the seed, and whose state another one can adopt.

Three things of the benchmark are mended here without touching the installed package. Its reset leaves the model's body
and site positions of the episode before, so the past leaks into the next episode: every reset starts from a kept copy.
It moves bodies after the last forward pass, so the first picture would show them where they were: one more pass is
made. And its random goals are frozen unless three private switches are set before `seed` and `reset`.
"""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from embodia.core.errors import EnvironmentFailure, MissingExtraError
from embodia.envs.drawing import choose_opengl, missing_opengl

Floats = npt.NDArray[np.float64]

_MODEL_FIELDS = ("body_pos", "body_quat", "site_pos", "site_quat")
_SHARED_FIELDS = ("body_pos", "body_quat")
_STATE_FIELDS = ("qpos", "qvel", "qacc_warmstart", "mocap_pos", "mocap_quat", "ctrl")
_PLAIN = (int, float, bool, str, type(None), np.generic, dict)
_NO_LIMIT = 10**9
APART_M = 0.15
"""Least horizontal distance of object and goal in the tasks whose scene can be shared."""


def benchmark_class(task: str) -> Any:
    """The benchmark's class for a task. Raises `MissingExtraError` when the package is not installed."""
    choose_opengl()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from metaworld.env_dict import ALL_V3_ENVIRONMENTS
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"Meta-World needs the package {error.name!r}", cure='Install it with: pip install "embodia[metaworld]"'
        ) from error
    except (ImportError, AttributeError, OSError) as error:
        raise missing_opengl(error) from error
    return ALL_V3_ENVIRONMENTS[f"{task}-v3"]


class Simulation:
    """The scene, physics and predicate of one task.

    `raw` is the benchmark's own observation (39,) with the goal, for scripted experts; `policy` code never sees it.
    """

    def __init__(self, task: str) -> None:
        self.task = task
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._env = benchmark_class(task)()
        self._env._partially_observable = False
        self._env.__dict__.pop("sawyer_observation_space", None)
        self._env._set_task_called = True
        self._env.seeded_rand_vec = True
        self._env.max_path_length = _NO_LIMIT
        self._space = self._env.sawyer_observation_space
        self._attributes = {name: _kept(value) for name, value in vars(self._env).items() if _is_plain(value)}
        self._names = frozenset(vars(self._env))
        self._model = {name: getattr(self.model, name).copy() for name in _MODEL_FIELDS}
        self.raw: Floats = np.zeros(39)

    @property
    def model(self) -> Any:
        """The MuJoCo model."""
        return self._env.model

    @property
    def data(self) -> Any:
        """The MuJoCo data."""
        return self._env.data

    @property
    def period_s(self) -> float:
        """Seconds of simulated time a control step."""
        return float(self._env.dt)

    @property
    def target(self) -> Floats:
        """The goal's position in the world (3,)."""
        return np.array(self._env._target_pos, dtype=np.float64)

    @property
    def object_start(self) -> Floats:
        """Where the object was put at reset, world (3,)."""
        return np.array(self._env.obj_init_pos, dtype=np.float64)

    @property
    def rate_hz(self) -> float:
        """Control steps a second of simulated time."""
        return 1.0 / self.period_s

    def proprioception(self) -> npt.NDArray[np.float32]:
        """Hand position in the world, metres, and the gripper's opening between 0 and 1, (4,)."""
        return self.raw[:4].astype(np.float32)

    def reset(self, seed: int) -> None:
        """Start the episode that `seed` names, whatever was done before."""
        self._restore()
        self._env._freeze_rand_vec = False
        self._env.seed(int(seed) % 2**63)
        self._start()

    def reset_at(self, placement: Floats) -> None:
        """Start with the benchmark's random vector set to `placement` (3,) or (6,): object, then goal.

        Raises `EnvironmentFailure` for an object and a goal so near each other that the benchmark would draw again.
        """
        if len(placement) == 6 and np.linalg.norm(placement[:2] - placement[3:5]) < APART_M:
            raise EnvironmentFailure("object and goal are too near each other", leaf=self.task)
        self._restore()
        self._env._freeze_rand_vec = True
        self._env._last_rand_vec = np.array(placement, dtype=np.float64)
        self._env.seed(0)
        self._start()

    def step(self, action: npt.NDArray[np.floating[Any]]) -> tuple[float, bool]:
        """Apply one action (4,); returns the benchmark's reward and whether its predicate holds."""
        try:
            raw, reward, _, _, info = self._env.step(np.clip(action, -1.0, 1.0).astype(np.float32))
        except (ValueError, RuntimeError) as error:
            raise EnvironmentFailure(f"Meta-World {self.task} cannot be stepped: {error}") from error
        self.raw = raw
        return float(reward), bool(info["success"])

    def adopt(self, other: Simulation) -> None:
        """Take over the bodies' places and the physical state of a simulation with the same layout."""
        for name in _SHARED_FIELDS:
            getattr(self.model, name)[:] = getattr(other.model, name)
        for name in _STATE_FIELDS:
            getattr(self.data, name)[:] = getattr(other.data, name)
        self._forward()
        raw = np.clip(self._env._get_obs(), self._space.low, self._space.high)
        self.raw = np.asarray(raw, dtype=np.float64)

    def holds(self, action: npt.NDArray[np.floating[Any]] | None = None) -> bool:
        """Whether the predicate holds in the present state."""
        used = np.zeros(4, np.float32) if action is None else np.asarray(action, np.float32)
        return bool(self._env.evaluate_state(self.raw, used)[1]["success"])

    def dress(self, site: str | None, place: Floats, rgba: tuple[float, ...], radius_m: float) -> None:
        """Hide every mark that the benchmark draws but `site`, which becomes a ball of that colour at `place` (3,)."""
        self.model.site_rgba[:, 3] = 0.0
        if site is not None:
            index = self.model.site(site).id
            self.model.site_rgba[index] = rgba
            self.model.site_size[index] = radius_m
            self.model.site_pos[index] = place
            self._forward()

    def paint(self, body: str, rgb: tuple[float, float, float]) -> None:
        """Give every geom of a body, and of what hangs on it, one plain colour; nothing where there is no such body."""
        names = [self.model.body(index).name for index in range(self.model.nbody)]
        if body in names:
            root = names.index(body)
            inside = [index for index in range(self.model.nbody) if root in self._ancestry(index)]
            geoms = np.isin(self.model.geom_bodyid, inside)
            self.model.geom_matid[geoms] = -1
            self.model.geom_rgba[geoms, :3] = rgb

    def body_with(self, site: str) -> str:
        """The body that carries a site, or "" where there is no such site."""
        names = [self.model.site(index).name for index in range(self.model.nsite)]
        return self.model.body(self.model.site_bodyid[names.index(site)]).name if site in names else ""

    def _ancestry(self, body: int) -> list[int]:
        found = [body]
        while found[-1]:
            found.append(int(self.model.body_parentid[found[-1]]))
        return found

    def close(self) -> None:
        """Free what the benchmark holds."""
        self._env.close()

    def _restore(self) -> None:
        for name in set(vars(self._env)) - self._names:
            delattr(self._env, name)
        for name, value in self._attributes.items():
            setattr(self._env, name, _kept(value))
        for name, array in self._model.items():
            getattr(self.model, name)[:] = array
        import mujoco

        mujoco.mj_resetData(self.model, self.data)

    def _start(self) -> None:
        self._env.reset()
        self._forward()
        raw = self._env._get_obs()
        raw[18:36] = raw[:18]
        self.raw = np.asarray(raw, dtype=np.float64)

    def _forward(self) -> None:
        import mujoco

        mujoco.mj_forward(self.model, self.data)


def _is_plain(value: object) -> bool:
    return isinstance(value, _PLAIN) or (isinstance(value, np.ndarray) and value.base is None)


def _kept(value: Any) -> Any:
    return copy.deepcopy(value)
