"""Scripted experts, one file for each environment family: `build(task) -> Expert`; the file name is the family's name.

An expert may look at what a policy must not see, the objects' and goals' places. The one thing to watch: an expert
belongs to one task and one episode at a time.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from embodia.core.names import Folder, unknown
from embodia.envs.protocol import Env

FOLDER = Folder(kind="expert", package="embodia.generate.experts")


class Expert(Protocol):
    """Knows how to do one task."""

    def begin(self) -> None:
        """Forget the episode before."""
        ...

    def act(self, env: Env) -> npt.NDArray[np.float32]:
        """The action (A,) for the present state of `env`, in the units of its contract."""
        ...


def make(family: str, task: str, style: str = "") -> Expert:
    """The expert of that family for `task`; `style` is one of its `STYLES`. Raises `UnknownNameError` for neither."""
    module = FOLDER.load(family)
    if not style:
        expert: Expert = module.build(task)
        return expert
    known: tuple[str, ...] = getattr(module, "STYLES", ())
    if style not in known:
        raise unknown(f"style of experts of {family}", style, known)
    styled: Expert = module.build(task, style)
    return styled
