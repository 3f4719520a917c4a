"""What adapters of MuJoCo benchmarks share: pictures made when first asked for, and a count of diverged steps.

The one thing to watch: MuJoCo answers a diverged step by putting the scene back to its default and only counts a
warning, so a scene can look healthy after it blew up.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Collection, Iterator
from typing import Any

from embodia.core.errors import MissingExtraError
from embodia.envs.drawing import Image, Painter
from embodia.envs.profiles import VisualProfile
from embodia.envs.protocol import CameraView

_UNSTABLE = ("mjWARN_BADQPOS", "mjWARN_BADQVEL", "mjWARN_BADQACC")


class Pictures:
    """Draws one model from a family's views; the graphics context is made at the first picture."""

    def __init__(
        self,
        views: tuple[CameraView, ...],
        profile: VisualProfile,
        rotated: Collection[str] = (),
        hidden: Collection[int] = (),
    ) -> None:
        self._views, self._profile, self._rotated, self._hidden = views, profile, rotated, hidden
        self._painter: Painter | None = None

    def draw(self, model: Any, data: Any) -> dict[str, Image]:
        """One upright picture uint8 (H W 3) a view."""
        if self._painter is None:
            self._painter = Painter(model, self._views, self._profile, self._rotated, self._hidden)
        return self._painter.draw(data)

    def close(self) -> None:
        """Free the graphics context."""
        if self._painter is not None:
            self._painter.close()
        self._painter = None


def divergences(data: Any) -> int:
    """How often the physics behind `data` has diverged since its warnings were cleared."""
    import mujoco

    return sum(int(data.warning[getattr(mujoco.mjtWarning, name)].number) for name in _UNSTABLE)


def missing(family: str, error: ModuleNotFoundError) -> MissingExtraError:
    """The error for a package that is not installed, with the extra that brings it."""
    return MissingExtraError(
        f"{family} needs the package {error.name!r}", cure=f'Install it with: pip install "embodia[{family}]"'
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep a benchmark's chatter and warnings while importing, building and stepping off the caller's screen."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    no_words = contextlib.redirect_stderr(io.StringIO())
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), no_words:
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
