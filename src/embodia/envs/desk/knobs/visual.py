"""Axes that change what is seen and nothing that must be done: augmentation, surroundings, paint, viewpoint."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from embodia.envs.desk.knobs.trials import Filter, Knob, Modality, Rng, Trial
from embodia.envs.desk.scenes import Rgb, Thing

VISUAL: frozenset[Modality] = frozenset({"visual"})
MOST_DISTRACTORS = 4
_RIM_M = 0.42


def augment(trial: Trial, strength: float, rng: Rng) -> Trial:
    """Brighter or darker light, more or less contrast, blur of up to two pixels."""
    lighter, sharper = rng.choice((-1, 1), 2)
    look = replace(trial.scene.look, brightness=trial.scene.look.brightness * (1 + 0.5 * strength * lighter))
    shown = Filter(contrast=1 + 0.4 * strength * sharper, blur_px=round(2 * strength))
    return replace(trial, scene=replace(trial.scene, look=look), filter=shown)


def surroundings(trial: Trial, strength: float, rng: Rng) -> Trial:
    """Another colour of table and backdrop, and painted boxes at the rim, out of the way of everything."""
    look = trial.scene.look
    painted = [_distractor(index, rng) for index in range(round(MOST_DISTRACTORS * strength))]
    changed = replace(
        look,
        table_rgb=_toward(look.table_rgb, rng, strength),
        backdrop_rgb=_toward(look.backdrop_rgb, rng, strength),
        distractors=(*look.distractors, *painted),
    )
    return replace(trial, scene=replace(trial.scene, look=changed))


def paint(trial: Trial, strength: float, rng: Rng) -> Trial | None:
    """A lighter or darker shade of the target's own colour: the words still fit."""
    thing = trial.thing
    if thing is None:
        return None
    goal = float(rng.choice((0.0, 1.0)))
    shade = tuple(value + 0.4 * strength * (goal - value) for value in thing.rgba[:3])
    return trial.with_thing(replace(thing, rgba=(shade[0], shade[1], shade[2], thing.rgba[3])))


def viewpoint(trial: Trial, strength: float, rng: Rng) -> Trial:
    """The fixed cameras moved by up to 6 cm and turned by up to 6 degrees."""
    look = trial.scene.look
    shift, turn = _direction(rng) * 0.06 * strength, _direction(rng) * 6.0 * strength
    moved = replace(look, camera_shift_m=_sum(look.camera_shift_m, shift))
    moved = replace(moved, camera_turn_deg=_sum(look.camera_turn_deg, turn))
    return replace(trial, scene=replace(trial.scene, look=moved))


KNOBS = (
    Knob(code="V-AUG", title="lighting, contrast, blur", modalities=VISUAL, score="environment", change=augment),
    Knob(
        code="V-SC", title="table, backdrop, painted boxes", modalities=VISUAL, score="environment", change=surroundings
    ),
    Knob(code="V-OBJ", title="shade of the target", modalities=VISUAL, score="object", change=paint),
    Knob(code="V-VIEW", title="camera pose", modalities=VISUAL, score="environment", change=viewpoint),
)


def _distractor(index: int, rng: Rng) -> Thing:
    side = 1 if index % 2 else -1
    red, green, blue = rng.uniform(0.1, 0.9, 3)
    return Thing(
        name=f"distractor-{index}",
        size_m=(0.03, 0.03, 0.03),
        rgba=(float(red), float(green), float(blue), 1.0),
        position_m=(float(rng.uniform(-0.3, 0.3)), side * _RIM_M, 0.03),
        movable=False,
    )


def _toward(colour: Rgb, rng: Rng, strength: float) -> Rgb:
    other = rng.uniform(0.1, 0.9, 3)
    red, green, blue = (value + strength * (goal - value) for value, goal in zip(colour, other, strict=True))
    return float(red), float(green), float(blue)


def _direction(rng: Rng) -> npt.NDArray[np.float64]:
    drawn = rng.normal(size=3)
    return np.asarray(drawn / np.linalg.norm(drawn))


def _sum(first: tuple[float, float, float], second: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(a + b) for a, b in zip(first, second, strict=True))
    return x, y, z
