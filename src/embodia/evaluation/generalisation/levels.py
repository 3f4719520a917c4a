"""AGNOSTOS' two levels of unseen tasks (arXiv 2505.15660): near to what was trained, and far from it.

Level 1 are tasks that were not trained but share a deed or a kind of thing with one that was; level 2 share neither.
The one thing to watch: how far a task is depends on what was trained, so the levels are made from the trained tasks and
never written down.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from embodia.core.errors import ConfigError
from embodia.envs.desk import tasks
from embodia.envs.desk.grammar import Request
from embodia.envs.desk.tasks._spoken import Spoken

Level = Literal["seen", "level 1", "level 2"]


def levels(trained: Iterable[str], among: Iterable[str]) -> dict[str, Level]:
    """The level of each task of `among`. Raises `UnknownNameError`, and `ConfigError` when nothing was trained."""
    known = {name: _request(name) for name in trained}
    if not known:
        raise ConfigError("levels are measured from trained tasks: name at least one", leaf="trained")
    deeds, kinds = {item.verb for item in known.values()}, {item.shape for item in known.values()}
    return {name: _level(name, set(known), deeds, kinds) for name in among}


def _level(name: str, known: set[str], deeds: set[str], kinds: set[str]) -> Level:
    if name in known:
        return "seen"
    request = _request(name)
    return "level 1" if request.verb in deeds or request.shape in kinds else "level 2"


def _request(name: str) -> Request:
    task = tasks.get(name)
    return task.request if isinstance(task, Spoken) else Request(verb=task.family)
