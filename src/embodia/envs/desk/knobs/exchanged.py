"""Axes that exchange what is asked for: another manner, side, thing, verb, colour, or a new thing altogether.

The words change with the deed, in the same scene where that can be. A task of the registry judges the outcome, so a
partner that does not exist makes an axis inapplicable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from embodia.envs.desk import tasks
from embodia.envs.desk.grammar import COLOURS, SHAPES, Request
from embodia.envs.desk.knobs.trials import Knob, Modality, Rng, Trial
from embodia.envs.desk.scenes import Thing
from embodia.envs.desk.tasks._spoken import Spoken
from embodia.envs.desk.tasks._table import loose

SAID_AND_DONE: frozenset[Modality] = frozenset({"semantic", "behavioural"})
SEEN_AND_SAID: frozenset[Modality] = frozenset({"visual", "semantic"})
EVERYTHING: frozenset[Modality] = frozenset({"visual", "semantic", "behavioural"})


def adverb(trial: Trial, strength: float, rng: Rng) -> Trial | None:
    """The same deed in another manner, where the scene holds what that task looks after."""
    there = {thing.name for thing in trial.scene.things} | {fixture.name for fixture in trial.scene.fixtures}
    found = []
    for name in tasks.names(family=_family(trial.task), body=None):
        other = tasks.get(name)
        if not isinstance(other, Spoken) or other.request == trial.request or other.target not in there:
            continue
        if _like(trial.request, other.request, manner=other.request.manner):
            found.append(name)
    return _asking(trial, found[int(rng.integers(len(found)))]) if found else None


def side(trial: Trial, strength: float, rng: Rng) -> Trial | None:
    """The same thing to another place."""
    return _partner(trial, rng, lambda mine, other: _like(mine, other, place=other.place))


def noun(trial: Trial, strength: float, rng: Rng) -> Trial | None:
    """The same deed with another thing that is there too."""
    return _partner(trial, rng, lambda mine, other: _like(mine, other, colour=other.colour, shape=other.shape))


def verb(trial: Trial, strength: float, rng: Rng) -> Trial | None:
    """Another deed with the same thing: it is only to be reached, or to be pushed where it was to be reached."""
    names = [f"reach/{trial.target}", *(f"push/{trial.target}/{way}" for way in ("left", "right", "away", "near"))]
    known = [name for name in names if name in tasks.registry() and _family(name) != _family(trial.task)]
    able = [name for name in known if _stands(trial, name)]
    return _asking(trial, able[int(rng.integers(len(able)))]) if able and trial.thing is not None else None


def colour(trial: Trial, strength: float, rng: Rng) -> Trial | None:
    """The target in another colour, and called by it."""
    thing = trial.thing
    if thing is None:
        return None
    found = [name for name in COLOURS if not any(name in item.name.split("-") for item in trial.scene.things)]
    return _renamed(trial, thing, [(name, trial.request.shape) for name in found], rng, keep_shape=True)


def new_thing(trial: Trial, strength: float, rng: Rng) -> Trial | None:
    """A thing of another colour and shape in the target's place, and called by its name."""
    thing = trial.thing
    if thing is None:
        return None
    used = {item.name for item in trial.scene.things}
    kinds = [(c, s) for c in COLOURS for s in SHAPES if s != trial.request.shape and f"{c}-{s}" not in used]
    others = [(c, s) for c, s in kinds if c != trial.request.colour]
    return _renamed(trial, thing, others, rng, keep_shape=False)


KNOBS = (
    Knob(code="SB-ADV", title="another manner", modalities=SAID_AND_DONE, score="action", change=adverb),
    Knob(code="SB-SMO", title="another place", modalities=SAID_AND_DONE, score="task", change=side),
    Knob(code="SB-NOUN", title="another thing", modalities=SAID_AND_DONE, score="task", change=noun),
    Knob(code="SB-VRB", title="another deed", modalities=SAID_AND_DONE, score="action", change=verb),
    Knob(code="VS-PROP", title="another colour", modalities=SEEN_AND_SAID, score="object", change=colour),
    Knob(code="VSB-NOBJ", title="a new thing", modalities=EVERYTHING, score="object", change=new_thing),
)


def _partner(trial: Trial, rng: Rng, fits: Callable[[Request, Request], bool]) -> Trial | None:
    mine, found = trial.request, []
    for name in tasks.get(trial.task).partners:
        other = tasks.get(name)
        if isinstance(other, Spoken) and other.request != mine and fits(mine, other.request):
            found.append(name)
    return _asking(trial, found[int(rng.integers(len(found)))]) if found else None


def _like(mine: Request, other: Request, **changed: str) -> bool:
    return replace(mine, **changed) == other


def _asking(trial: Trial, task: str) -> Trial:
    return replace(trial, task=task, sentence=tasks.get(task).sentences("canonical")[0])


def _family(name: str) -> str:
    return tasks.get(name).family


def _stands(trial: Trial, name: str) -> bool:
    """Whether the predicate of a push can look after the other thing that it knows of."""
    partners = {partner.split("/")[1] for partner in tasks.get(name).partners}
    return _family(name) == "reach" or partners <= {item.name for item in trial.scene.things}


def _renamed(trial: Trial, thing: Thing, kinds: list[tuple[str, str]], rng: Rng, *, keep_shape: bool) -> Trial | None:
    """The target as one of `kinds`, where a task asks for it and the scene holds what that task looks after."""
    known = []
    for hue, shape in kinds:
        name = trial.task.replace(thing.name, f"{hue}-{shape}")
        if name in tasks.registry() and _family(name) in ("reach", "place"):
            known.append((hue, shape, name))
    if not known:
        return None
    hue, shape, task = known[int(rng.integers(len(known)))]
    if keep_shape:
        changed = replace(thing, name=f"{hue}-{shape}", rgba=COLOURS[hue])
    else:
        changed = replace(loose(hue, shape, thing.position_m[:2], rng), yaw_rad=thing.yaw_rad)
    return _asking(trial.with_thing(changed), task)
