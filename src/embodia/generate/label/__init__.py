"""Texts about demonstrations, exact because they are read off the simulator's state; one labeller a family.

The file name is the family's name, its `build(config)` makes a `Labeller`; `texts` turns what was noted into words, the
same for all families. The one thing to watch: a labeller looks at what a policy must not see, so its texts are for
training and for judging answers, never for acting.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from embodia.core.names import Folder
from embodia.envs.protocol import Env, EnvConfig
from embodia.generate.experts import Expert

FOLDER = Folder(kind="labeller", package="embodia.generate.label")


class Labeller(Protocol):
    """Notes what there is to say while an expert acts."""

    def begin(self, task: str, seed: int) -> None:
        """Forget the episode before."""
        ...

    def note(self, env: Env, expert: Expert) -> None:
        """The present moment of `env`, after `expert` chose its action and before it is carried out."""
        ...

    def answers(self) -> Mapping[str, tuple[str, ...]]:
        """The texts of all noted moments by kind, and the questions that they answer as KIND?."""
        ...


def make(family: str, config: EnvConfig) -> Labeller:
    """The labeller of a family for an environment. Raises `UnknownNameError` where there is none."""
    labeller: Labeller = FOLDER.load(family).build(config)
    return labeller
