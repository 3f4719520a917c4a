"""Any environment as a `gymnasium.Env`, for libraries that know nothing of Embodia.

The one thing to watch: a gymnasium observation always has its pictures, so every step draws; ask for `images=False`
where a policy needs none.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from embodia.core.errors import ConfigError
from embodia.core.types import Observation
from embodia.envs.protocol import Env, chosen

Sensed = dict[str, Any]


class GymEnv(gymnasium.Env[Sensed, npt.NDArray[np.float32]]):
    """One task of an `Env` with gymnasium's `reset` and five-value `step`.

    The observation is a dict: "state" float32 (S,), and for each camera "image.<name>" uint8 (H W 3). `info` has
    "instruction", "task", and after a step "success". `reset(options={"task": ...})` changes the task. Raises
    `UnknownNameError` for a task that is not offered.
    """

    def __init__(self, env: Env, task: str = "", *, images: bool = True, render_mode: str | None = "rgb_array") -> None:
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": round(env.contract.action.rate_hz)}
        if render_mode not in (None, "rgb_array"):
            raise ConfigError(f"render_mode is None or 'rgb_array', got {render_mode!r}", leaf="render_mode")
        self.render_mode = render_mode
        self._env, self._images = env, images
        self._task = chosen("task", (task or env.tasks[0],), env.tasks)[0]
        self.observation_space = _observation_space(env, images)
        self.action_space: spaces.Space[npt.NDArray[np.float32]] = _action_space(env)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Sensed, dict[str, Any]]:
        """Start an episode; without a seed the next of this environment's own sequence."""
        super().reset(seed=seed)
        if options and "task" in options:
            self._task = chosen("task", (str(options["task"]),), self._env.tasks)[0]
        sensed = self._env.reset(self._task, int(self.np_random.integers(2**31)))
        return self._see(sensed), {"instruction": sensed.instruction[0], "task": self._task}

    def step(self, action: npt.NDArray[np.float32]) -> tuple[Sensed, float, bool, bool, dict[str, Any]]:
        """Apply one action (A,)."""
        sensed, reward, terminated, truncated, info = self._env.step(np.asarray(action, dtype=np.float32))
        told = {**info, "instruction": sensed.instruction[0], "task": self._task}
        return self._see(sensed), float(reward), terminated, truncated, told

    def render(self) -> npt.NDArray[np.uint8] | None:  # type: ignore[override]
        """What the first camera sees (H W 3)."""
        if self.render_mode is None:
            return None
        return self._env.observe().images[self._env.contract.observation.camera_names[0]][0, 0]

    def close(self) -> None:
        """Close the environment underneath."""
        self._env.close()

    def _see(self, sensed: Observation) -> Sensed:
        found: Sensed = {}
        if sensed.state is not None:
            found["state"] = np.asarray(sensed.state, dtype=np.float32)[0, 0]
        if self._images:
            found.update({f"image.{name}": image[0, 0] for name, image in self._env.observe().images.items()})
        return found


def _observation_space(env: Env, images: bool) -> spaces.Dict:
    spec = env.contract.observation
    found: dict[str, spaces.Space[Any]] = {"state": spaces.Box(-np.inf, np.inf, (spec.state_dim,), np.float32)}
    for camera in spec.cameras if images else ():
        found[f"image.{camera.name}"] = spaces.Box(0, 255, (camera.height, camera.width, 3), np.uint8)
    return spaces.Dict(found)


def _action_space(env: Env) -> spaces.Space[npt.NDArray[np.float32]]:
    parts = [part for part in env.contract.action.parts for _ in range(part.dim)]
    low, high = (np.array([getattr(part, side) for part in parts], np.float32) for side in ("low", "high"))
    return spaces.Box(low, high, dtype=np.float32)  # type: ignore[return-value]
