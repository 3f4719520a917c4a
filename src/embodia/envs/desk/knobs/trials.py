"""A trial is what one episode asks: a task, its scene, the sentence, and a filter on the pictures; knobs change trials.

The one thing to watch: a knob changes what its axis says and nothing else, so everything it does not name must come
out of it equal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from embodia.core.errors import ConfigError
from embodia.envs.desk import tasks
from embodia.envs.desk.grammar import Request, thing_words
from embodia.envs.desk.scenes import Fixture, Scene, Thing
from embodia.envs.desk.tasks._spoken import Spoken

Modality: TypeAlias = Literal["visual", "semantic", "behavioural"]
Score: TypeAlias = Literal["object", "environment", "task", "action", "body"]
Rng: TypeAlias = np.random.Generator


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What happens to a picture after it is drawn: contrast about grey, then a box blur of 2 r + 1 pixels."""

    contrast: float = 1.0
    blur_px: int = 0

    def __call__(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """The changed picture, (... H W 3)."""
        if self == Filter():
            return image
        value = (image.astype(np.float32) - 127.5) * self.contrast + 127.5
        for axis in (-3, -2):
            value = _box(value, self.blur_px, axis)
        return np.clip(np.rint(value), 0, 255).astype(np.uint8)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One episode to be: `task` is judged, `sentence` is told, `filter` lies over the pictures."""

    task: str
    scene: Scene
    sentence: str
    filter: Filter = field(default_factory=Filter)

    @property
    def request(self) -> Request:
        """What is asked for, in attributes. Raises `ConfigError` for a task that is not said in words."""
        return self._spoken.request

    @property
    def target(self) -> str:
        """Name of the thing or fixture that is meant; empty where several are."""
        return self._spoken.target

    @property
    def thing(self) -> Thing | None:
        """The loose thing that is meant, or None when it is a fixture."""
        return next((item for item in self.scene.things if item.name == self.target), None)

    @property
    def phrase(self) -> str:
        """How the canonical sentence names the target: "red cube"."""
        return thing_words(self.request.colour, self.request.shape)

    @property
    def _spoken(self) -> Spoken:
        task = tasks.get(self.task)
        if not isinstance(task, Spoken):
            raise ConfigError(f"{self.task} is not said in words that a knob could change", leaf="task")
        return task

    def with_thing(self, changed: Thing) -> Trial:
        """The trial with the target replaced by `changed`."""
        things = tuple(changed if item.name == self.target else item for item in self.scene.things)
        return replace(self, scene=replace(self.scene, things=things))

    def saying(self, phrase: str) -> Trial | None:
        """The canonical sentence with another noun phrase, article included; None where it has none to replace."""
        canonical = tasks.get(self.task).sentences("canonical")[0]
        named = f"the {self.phrase}"
        return replace(self, sentence=canonical.replace(named, phrase)) if named in canonical else None


Change: TypeAlias = Callable[[Trial, float, Rng], Trial | None]
"""A trial changed with a strength in 0 ... 1, or None where the axis does not apply."""


@dataclass(frozen=True, kw_only=True)
class Knob:
    """One axis: `code` as in Star-Gen, what it changes in words, and the function that does it.

    `score` is the one of the five generalisation scores that it counts for.
    """

    code: str
    title: str
    modalities: frozenset[Modality]
    score: Score
    change: Change


def gap_m(at: tuple[float, float], scene: Scene, without: str = "") -> float:
    """Distance from a place on the table to the nearest middle of a thing or fixture, walls included."""
    others: list[Thing | Fixture] = [*scene.things, *scene.fixtures]
    places = [item.position_m for item in others if item.name != without]
    return min((float(np.hypot(at[0] - x, at[1] - y)) for x, y, _ in places), default=np.inf)


def _box(value: npt.NDArray[np.float32], radius: int, axis: int) -> npt.NDArray[np.float32]:
    if not radius:
        return value
    wide = [(0, 0)] * value.ndim
    wide[axis] = (radius, radius)
    padded = np.pad(value, wide, mode="edge")
    size = value.shape[axis]
    parts = [np.take(padded, range(start, start + size), axis=axis) for start in range(2 * radius + 1)]
    return np.mean(parts, axis=0, dtype=np.float32)
