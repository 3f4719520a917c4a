"""A knob for every one of Star-Gen's 22 axes (arXiv 2503.01238): visual, semantic, behavioural and what mixes them.

`trial(task, seed)` is the plain episode, `turned(trial, code, strength, seed)` the same one with a knob turned, both
pure functions. Strength 0 is the plain trial, 1 the strongest change; axes that can
only be off or on are off at 0 and on above.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from embodia.core.errors import ConfigError
from embodia.core.names import unknown
from embodia.core.seeds import generator
from embodia.envs.desk import tasks
from embodia.envs.desk.knobs import behavioural, exchanged, semantic, visual
from embodia.envs.desk.knobs.trials import Filter, Knob, Modality, Score, Trial

KNOBS: Mapping[str, Knob] = MappingProxyType(
    {knob.code: knob for module in (visual, semantic, behavioural, exchanged) for knob in module.KNOBS}
)
"""All knobs by code."""

SCORES: tuple[Score, ...] = ("object", "environment", "task", "action", "body")
"""The five generalisation scores."""


def trial(task: str, seed: int) -> Trial:
    """The plain episode of (task, seed), with the canonical sentence. Raises `UnknownNameError`."""
    found = tasks.get(task)
    scene = found.scene(generator(seed, "desk", task))
    return Trial(task=task, scene=scene, sentence=found.sentences("canonical")[0])


def turned(plain: Trial, code: str, strength: float, seed: int) -> Trial | None:
    """The trial with a knob turned, or None where the axis does not apply to it.

    Raises `UnknownNameError` for a code that is no axis and `ConfigError` for a strength outside 0 ... 1.
    """
    if code not in KNOBS:
        raise unknown("axis", code, KNOBS)
    if not 0 <= strength <= 1:
        raise ConfigError(f"a strength lies between 0 and 1, got {strength}", leaf="strength")
    if strength == 0:
        return plain
    return KNOBS[code].change(plain, strength, generator(seed, "knob", code, plain.task))


__all__ = ["KNOBS", "SCORES", "Filter", "Knob", "Modality", "Score", "Trial", "trial", "turned"]
