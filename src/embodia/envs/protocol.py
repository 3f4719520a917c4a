"""What an environment is: anything with `reset` and `step`; pictures are drawn only when asked for.

A simulator, a learned world model and a real robot stand behind the same protocol, so one evaluator, one collector and
one set of algorithms serve all. The one thing to watch: `reset` and `step` return observations without images, because
an open-loop chunk of eight actions needs one picture, not eight; call `observe` when a picture is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from embodia.core.errors import ConfigError
from embodia.core.names import unknown
from embodia.core.provenance import Provenance
from embodia.core.specs import CameraSpec, Contract
from embodia.core.types import Array, Observation

Split: TypeAlias = Literal["canonical", "train", "held_out"]
"""Which sentences of a task: the one canonical, the paraphrases to train on, those kept for evaluation."""

StepResult: TypeAlias = tuple[Observation, float, bool, bool, dict[str, Any]]
"""Observation without images, reward, terminated, truncated, info with a bool "success"."""


@dataclass(frozen=True, kw_only=True)
class CameraView:
    """How one picture of `height` x `width` pixels is taken.

    `name` is the camera's name in the contract. Either `source` names one of the benchmark's own cameras (empty: the
    one called `name`), or `lookat_m` (world x y z), `distance_m`, `azimuth_deg` and `elevation_deg` place a new one.
    `render` (height, width) draws larger than the result: with `crop` (top, left) a window is cut out of the upright
    drawing, without it whole blocks of pixels are averaged. Raises `ConfigError` for sizes that do not fit.
    """

    name: str
    height: int = 128
    width: int = 128
    source: str = ""
    lookat_m: tuple[float, float, float] | None = None
    distance_m: float = 1.0
    azimuth_deg: float = 0.0
    elevation_deg: float = 0.0
    render: tuple[int, int] | None = None
    crop: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 8:
            raise ConfigError(f"at least 8 x 8 pixels are needed, got {self.height} x {self.width}", leaf=self.name)
        rows, columns = self.drawn
        if self.crop is None:
            fits = rows % self.height == 0 and columns % self.width == 0
        else:
            top, left = self.crop
            fits = min(top, left) >= 0 and top + self.height <= rows and left + self.width <= columns
        if not fits:
            raise ConfigError(
                f"{self.height} x {self.width} at {self.crop} does not fit a drawing of {rows} x {columns}",
                leaf=self.name,
            )

    @property
    def drawn(self) -> tuple[int, int]:
        """Height and width of the drawing before it is cut or averaged."""
        return self.render or (self.height, self.width)

    def spec(self, profile: str) -> CameraSpec:
        """The contract's line for this camera."""
        return CameraSpec(name=self.name, height=self.height, width=self.width, profile=profile)

    def describe(self) -> str:
        """One line that two equal views share and two different ones do not; goes into `Provenance.cameras`."""
        text = self.name
        if self.source not in ("", self.name):
            text += f"={self.source}"
        if self.lookat_m is not None:
            x, y, z = self.lookat_m
            text += f"@({x:g},{y:g},{z:g}) {self.distance_m:g}m {self.azimuth_deg:g}/{self.elevation_deg:g}deg"
        if self.render is not None:
            text += f" drawn {self.render[0]}x{self.render[1]}"
        if self.crop is not None:
            text += f" from {self.crop[0]},{self.crop[1]}"
        return text


@dataclass(frozen=True, kw_only=True)
class EnvConfig:
    """What may be chosen about an environment.

    profile   visual profile, see `embodia.envs.profiles`
    cameras   names of the family's views, or own `CameraView`s; empty means the family's default
    height, width   size of the pictures of cameras given by name
    tasks     the tasks to offer; empty means all
    horizon   control steps after which an episode is truncated; 0 means the benchmark's own
    success_ends    whether the first success terminates the episode
    options   further switches that only one family knows
    """

    profile: str = "fast"
    cameras: tuple[str | CameraView, ...] = ()
    height: int = 128
    width: int = 128
    tasks: tuple[str, ...] = ()
    horizon: int = 0
    success_ends: bool = True
    options: Mapping[str, str] | None = None


class Steppable(Protocol):
    """The part that a simulator, a learned world and a robot share."""

    contract: Contract
    provenance: Provenance
    tasks: tuple[str, ...]

    def reset(self, task: str, seed: int) -> Observation:
        """Start an episode, a pure function of (task, seed). No images. Raises `UnknownNameError`."""
        ...

    def step(self, action: Array) -> StepResult:
        """Apply one action (A,) in the units of the contract, for one control period."""
        ...

    def observe(self) -> Observation:
        """What is sensed now, with images (B=1, T=1)."""
        ...

    def close(self) -> None:
        """Free processes, windows and graphics memory; may be called twice."""
        ...


@runtime_checkable
class Env(Steppable, Protocol):
    """A benchmark: tasks with sentences and success predicates. Building one is cheap: simulators start at `reset`."""

    def instructions(self, task: str, split: Split = "canonical") -> tuple[str, ...]:
        """The sentences of a task."""
        ...

    def judge(self, task: str) -> bool:
        """Whether the predicate of `task` holds now in the present scene; `task` itself or one of its partners."""
        ...

    def scene_partners(self, task: str) -> tuple[str, ...]:
        """Other tasks whose predicate can be judged in the scene of `task`."""
        ...


def chosen(kind: str, wanted: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """`wanted` after a check against `known`, or all of `known` when empty. Raises `UnknownNameError`."""
    names, asked = tuple(known), tuple(wanted)
    for name in asked:
        if name not in names:
            raise unknown(kind, name, names)
    return asked or names


def resolve_views(
    config: EnvConfig, known: Mapping[str, CameraView], default: tuple[str, ...]
) -> tuple[CameraView, ...]:
    """The views a configuration asks for: names are looked up in `known` and drawn at the configured size."""
    views = []
    for item in config.cameras or default:
        if isinstance(item, CameraView):
            views.append(item)
            continue
        base = known[chosen("camera", (item,), known)[0]]
        views.append(_sized(base, config.height, config.width))
    names = [view.name for view in views]
    if len(set(names)) != len(names):
        raise ConfigError(f"two cameras of one name in {names}", leaf="cameras")
    return tuple(views)


def _sized(view: CameraView, height: int, width: int) -> CameraView:
    return CameraView(
        name=view.name,
        height=height,
        width=width,
        source=view.source,
        lookat_m=view.lookat_m,
        distance_m=view.distance_m,
        azimuth_deg=view.azimuth_deg,
        elevation_deg=view.elevation_deg,
    )
