"""Changes of pictures: blank, noise, dead camera, brightness, a patch.

A blank picture is the control that shows whether a policy uses its eyes at all. The one thing to watch: noise depends
on (seed, number of the call), so a rollout repeats only when the function is made anew for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from embodia.core.errors import ConfigError
from embodia.core.names import unknown
from embodia.core.seeds import generator
from embodia.core.types import Observation

Change: TypeAlias = Callable[[Observation], Observation]
Images: TypeAlias = npt.NDArray[np.uint8]

GREY = 128


def _changed(observation: Observation, change: Callable[[str, Images], Images]) -> Observation:
    return replace(observation, images={name: change(name, image) for name, image in observation.images.items()})


def blank(level: int = GREY) -> Change:
    """Every pixel of every camera is `level`; depth and points are gone, too."""
    return lambda observation: shapeless(_changed(observation, lambda _, image: np.full_like(image, level)))


def shapeless(observation: Observation) -> Observation:
    """Zeros where depth and points were."""
    points = None if observation.points is None else np.zeros_like(observation.points)
    depth = {name: np.zeros_like(picture) for name, picture in observation.depth.items()}
    return replace(observation, depth=depth, points=points)


def dead_camera(name: str, level: int = 0) -> Change:
    """One camera shows nothing but `level`. Raises `UnknownNameError` when there is no such camera."""

    def change(observation: Observation) -> Observation:
        if name not in observation.images:
            raise unknown("camera", name, observation.images)
        return _changed(observation, lambda camera, image: np.full_like(image, level) if camera == name else image)

    return change


def brightness(factor: float) -> Change:
    """Pixels times `factor`, cut to 0 ... 255. Raises `ConfigError` for a negative factor."""
    if factor < 0:
        raise ConfigError(f"a brightness is not negative, got {factor}", leaf="factor")

    def change(_: str, image: Images) -> Images:
        return np.clip(np.rint(image.astype(np.float32) * factor), 0, 255).astype(np.uint8)

    return lambda observation: _changed(observation, change)


def noise(standard_deviation: float, seed: int = 0) -> Change:
    """Gaussian noise of that standard deviation, in levels, drawn anew at every call."""
    if standard_deviation < 0:
        raise ConfigError(f"a standard deviation is not negative, got {standard_deviation}", leaf="noise")
    calls = 0

    def change(observation: Observation) -> Observation:
        nonlocal calls
        calls += 1
        rng = generator(seed, "pixel noise", calls)

        def add(_: str, image: Images) -> Images:
            drawn = rng.standard_normal(image.shape, dtype=np.float32) * standard_deviation
            return np.clip(np.rint(image + drawn), 0, 255).astype(np.uint8)

        return _changed(observation, add)

    return change


def stamp(pattern: Images, place: tuple[float, float], share: float, cameras: tuple[str, ...] = ()) -> Change:
    """`pattern` (h w 3) over every picture, `share` of its height tall; `place` from (0, 0) top left to (1, 1).

    `cameras` names those that are changed; empty means all. Raises `ConfigError` for a share or place outside 0 ... 1.
    """
    if not 0 < share <= 1 or not all(0 <= part <= 1 for part in place):
        raise ConfigError(f"a patch of share {share} at {place} is not inside a picture", leaf="share")

    def change(camera: str, image: Images) -> Images:
        if cameras and camera not in cameras:
            return image
        height, width = image.shape[-3:-1]
        size = max(1, round(share * height))
        wide = min(size, width)
        rows = np.arange(size) * pattern.shape[0] // size
        columns = np.arange(wide) * pattern.shape[1] // wide
        top, left = round(place[0] * (height - size)), round(place[1] * (width - wide))
        changed = image.copy()
        changed[..., top : top + size, left : left + wide, :] = pattern[rows][:, columns]
        return changed

    return lambda observation: _changed(observation, change)
