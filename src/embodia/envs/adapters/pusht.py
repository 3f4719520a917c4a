"""PushT: a round finger pushes a T on a table onto its outline, in the plane, by contact alone.

Actions are target positions of the finger in pixels of a 512 x 512 table, ten times a second; the state is the finger's
position, the T has to be seen. The reward is the share of the outline that is covered, 1 from 95 % on, and the score of
the suite is the best of an episode. The benchmark draws 96 x 96 pixels; any size may be asked for.
The one thing to watch: y points down, as in pictures, so "up" is a smaller number.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np

from embodia.core.errors import EnvironmentFailure
from embodia.core.specs import ActionPart, StatePart
from embodia.envs.adapters._mujoco import missing, quiet
from embodia.envs.drawing import Image, choose_opengl, fit
from embodia.envs.profiles import VisualProfile
from embodia.envs.protocol import CameraView, EnvConfig
from embodia.envs.sentences import read
from embodia.envs.simulated import Family, Floats, SimulatedEnv

RATE_HZ = 10.0
HORIZON = 300
TABLE_PX = 512.0

FAMILY = Family(
    environment="pusht",
    body="planar_finger",
    packages=("gym-pusht", "pymunk"),
    sentences=read(__package__, "_pusht_language.json"),
    parts=(
        ActionPart(
            name="finger",
            dim=2,
            representation="ee_position",
            frame="world",
            units="none",
            low=0.0,
            high=TABLE_PX,
            scale=1.0,
        ),
    ),
    state=(StatePart(name="finger", dim=2, frame="world"),),
    rate_hz=RATE_HZ,
    horizon=HORIZON,
    views=MappingProxyType({"top": CameraView(name="top")}),
    default_cameras=("top",),
    success_rule="the T covers more than 95 % of its outline",
)


def build(config: EnvConfig) -> SimulatedEnv:
    """The one task; the table is built at the first `reset`. Raises `MissingExtraError` there."""
    return SimulatedEnv(FAMILY, config, Simulation)


class Simulation:
    """The table."""

    def __init__(self, task: str, views: tuple[CameraView, ...], profile: VisualProfile) -> None:
        choose_opengl()
        try:
            with quiet():
                from gym_pusht.envs.pusht import PushTEnv
        except ModuleNotFoundError as error:
            raise missing("pusht", error) from error
        except ImportError as error:
            raise EnvironmentFailure(
                f"PushT cannot start: {error}", cure="On Debian or Ubuntu: apt-get install -y libgl1 libglib2.0-0"
            ) from error
        self.table: Any = PushTEnv(obs_type="state", render_mode="rgb_array")
        self._views = views
        self._coverage = 0.0

    def reset(self, seed: int) -> None:
        """Finger and T where the benchmark's generator puts them under `seed`."""
        self.table.reset(seed=seed)
        self._coverage = float(self.table._get_coverage())

    def step(self, action: Floats) -> tuple[float, bool]:
        """Ten physics steps of 10 ms towards the target."""
        _, reward, _, _, info = self.table.step(action)
        self._coverage = float(info["coverage"])
        return float(reward), bool(np.isfinite(self._coverage))

    def holds(self, task: str) -> bool:
        """Whether the outline is covered now."""
        return self._coverage > float(self.table.success_threshold)

    def proprioception(self) -> Floats:
        """The finger's position (2,), pixels."""
        return np.asarray(self.table.agent.position, np.float64)

    def draw(self) -> dict[str, Image]:
        """The table from above, one picture a view. Raises `EnvironmentFailure` for a view from elsewhere."""
        screen = self.table._draw()
        found = {}
        for view in self._views:
            if view.lookat_m is not None or view.source not in ("", "top"):
                raise EnvironmentFailure("the table is seen from above only", leaf=view.name)
            rows, columns = view.drawn
            found[view.name] = fit(np.ascontiguousarray(self.table._get_img(screen, columns, rows)), view)
        return found

    def close(self) -> None:
        """Free the table."""
        self.table.close()
