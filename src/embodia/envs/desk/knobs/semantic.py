"""Axes that change the words and nothing else: scene and predicate stay exactly as they are.

A phrase is used only where it means the target and nothing else in the scene; elsewhere the axis does not apply.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from embodia.envs.desk import tasks
from embodia.envs.desk.grammar import thing_words
from embodia.envs.desk.knobs.trials import Knob, Modality, Rng, Trial
from embodia.envs.desk.scenes import Thing

SEMANTIC: frozenset[Modality] = frozenset({"semantic"})

USES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ball": ("what would roll away", "what a child would throw"),
        "cube": ("what one could build a tower of", "what would not roll"),
        "cylinder": ("what is shaped like something to drink from", "what could be a candle"),
    }
)
KNOWN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "red": ("the colour of a ripe tomato", "the colour of a fire engine"),
        "green": ("the colour of grass", "the colour of a frog"),
        "blue": ("the colour of the sky", "the colour of the sea"),
        "yellow": ("the colour of a lemon", "the colour of a banana"),
        "purple": ("the colour of an aubergine", "the colour of lavender"),
        "orange": ("the colour of a carrot", "the colour of a tangerine"),
    }
)
SIDES_M = 0.05
"""Two things are left and right of each other when they are at least this far apart in y."""


def properties(trial: Trial, strength: float, rng: Rng) -> Trial | None:
    """The target by its colour alone, or by its shape alone."""
    if trial.thing is None:
        return None
    colour, shape = trial.request.colour, trial.request.shape
    ways = []
    if not _others(trial, colour=colour):
        ways.append(f"the {colour} thing")
    if not _others(trial, shape=shape):
        ways.append(f"the {thing_words('', shape)}")
    return trial.saying(ways[int(rng.integers(len(ways)))]) if ways else None


def rephrase(trial: Trial, strength: float, rng: Rng) -> Trial:
    """Up to half strength the articles are left out, beyond that a held-out paraphrase is told."""
    if strength <= 0.5:
        return replace(trial, sentence=trial.sentence.replace(" the ", " "))
    said = tasks.get(trial.task).sentences("held_out")
    return replace(trial, sentence=said[int(rng.integers(len(said)))])


def relation(trial: Trial, strength: float, rng: Rng) -> Trial | None:
    """The target by where it stands beside another thing."""
    thing = trial.thing
    if thing is None:
        return None
    others = [item for item in trial.scene.things if item is not thing]
    far = [item for item in others if abs(item.position_m[1] - thing.position_m[1]) >= SIDES_M]
    ways = [phrase for other in far if (phrase := _beside(thing, other, others)) is not None]
    return trial.saying(ways[int(rng.integers(len(ways)))]) if ways else None


def affordance(trial: Trial, strength: float, rng: Rng) -> Trial | None:
    """The target by what one could do with it."""
    shape = trial.request.shape
    if trial.thing is None or shape not in USES or _others(trial, shape=shape):
        return None
    return trial.saying(USES[shape][int(rng.integers(len(USES[shape])))])


def knowledge(trial: Trial, strength: float, rng: Rng) -> Trial | None:
    """The target's colour by something that everybody knows."""
    colour = trial.request.colour
    if colour not in KNOWN:
        return None
    noun = thing_words("", trial.request.shape)
    return trial.saying(f"the {noun} that has {KNOWN[colour][int(rng.integers(len(KNOWN[colour])))]}")


KNOBS = (
    Knob(
        code="S-PROP",
        title="target by a property",
        modalities=SEMANTIC,
        score="task",
        change=properties,
    ),
    Knob(code="S-LANG", title="other wording", modalities=SEMANTIC, score="task", change=rephrase),
    Knob(code="S-MO", title="target by its place", modalities=SEMANTIC, score="task", change=relation),
    Knob(code="S-AFF", title="target by its use", modalities=SEMANTIC, score="task", change=affordance),
    Knob(code="S-INT", title="colour by knowledge", modalities=SEMANTIC, score="task", change=knowledge),
)


def _others(trial: Trial, colour: str = "", shape: str = "") -> bool:
    names = {item.name for item in trial.scene.things} | {item.name for item in trial.scene.fixtures}
    return any((colour or shape) in name.split("-") for name in names - {trial.target})


def _beside(thing: Thing, other: Thing, others: list[Thing]) -> str | None:
    """How the target stands to `other`, where no third thing stands likewise."""
    left = thing.position_m[1] > other.position_m[1]
    side = 1 if left else -1
    rest = [item for item in others if item is not other]
    if any(side * (item.position_m[1] - other.position_m[1]) > 0 for item in rest):
        return None
    return f"the thing {'left' if left else 'right'} of the {other.name.replace('-', ' ')}"
