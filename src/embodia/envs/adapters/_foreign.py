"""What adapters share whose benchmark draws by itself: pictures brought to size, borrowed generators, spoken names.

The one thing to watch: such a benchmark draws at every step whether or not anyone looks, so it costs what it costs.
"""

from __future__ import annotations

import contextlib
import importlib.util
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from embodia.core.errors import EnvironmentFailure, MissingExtraError
from embodia.core.specs import ActionPart, Frame
from embodia.envs.drawing import Image, fit
from embodia.envs.protocol import CameraView
from embodia.envs.sentences import Sentences


def sized(picture: Any, view: CameraView) -> Image:
    """A benchmark's picture (H' W' 3 or 4) of any size as the view wants it (H W 3); raises `EnvironmentFailure`."""
    from PIL import Image as Pillow

    array = np.asarray(picture)
    if array.ndim != 3 or array.shape[2] not in (3, 4):
        raise EnvironmentFailure(f"the picture is {array.shape}, not (H W 3)", leaf=view.name)
    if array.dtype != np.uint8:
        array = np.clip(np.rint(array * 255.0), 0, 255).astype(np.uint8)
    array = np.ascontiguousarray(array[..., :3])
    rows, columns = view.drawn
    if array.shape[:2] != (rows, columns):
        array = np.asarray(Pillow.fromarray(array).resize((columns, rows), Pillow.Resampling.BOX))
    return fit(array, view)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators that a benchmark draws from, and put them back afterwards."""
    numbers, plain = np.random.get_state(), random.getstate()
    try:
        np.random.seed(seed % 2**32)
        random.seed(seed)
        yield
    finally:
        np.random.set_state(numbers)
        random.setstate(plain)


def spoken(tasks: Sequence[str]) -> Mapping[str, Sentences]:
    """One canonical sentence a task, made from its name: a stand-in where every episode has a sentence of its own."""
    return MappingProxyType(
        {
            task: Sentences(
                canonical=(f"{task.replace('_', ' ').replace('-', ' ').capitalize()}.",), train=(), held_out=()
            )
            for task in tasks
        }
    )


def require(family: str, package: str, source: str) -> None:
    """Raise `MissingExtraError` unless the top-level `package` can be imported; imports nothing."""
    found = sys.modules[package] if package in sys.modules else importlib.util.find_spec(package)
    if found is None:
        raise absent(family, package, source)


def absent(family: str, package: str | None, source: str) -> MissingExtraError:
    """The error for a benchmark that is on no package index and is installed from its own repository."""
    return MissingExtraError(
        f"{family} needs the package {package!r}",
        cure=f"It comes from the repository of {source}; follow the installation described there.",
    )


def pose_delta(
    *, position_m: float, rotation_rad: float, frame: Frame = "base", prefix: str = ""
) -> tuple[ActionPart, ActionPart]:
    """A hand that moves relative to where it is: position and axis-angle rotation, one unit being these."""
    place, turn = f"{prefix}hand_position", f"{prefix}hand_rotation"
    return (
        ActionPart(name=place, dim=3, representation="ee_position_delta", frame=frame, scale=position_m),
        ActionPart(
            name=turn,
            dim=3,
            representation="ee_rotation_delta",
            frame=frame,
            rotation="axis_angle",
            scale=rotation_rad,
        ),
    )


def vector(*values: Any) -> npt.NDArray[np.float64]:
    """Numbers and arrays, one after the other."""
    return np.concatenate([np.ravel(np.asarray(value, np.float64)) for value in values])
