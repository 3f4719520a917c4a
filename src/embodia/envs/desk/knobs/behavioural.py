"""Axes that change what must be done: hidden weight and friction, places, clutter, size, another body, the mirror."""

from __future__ import annotations

import math
from dataclasses import replace

from embodia.envs.desk import tasks
from embodia.envs.desk.knobs.trials import Knob, Modality, Rng, Trial, gap_m
from embodia.envs.desk.scenes import BodyName, Scene, Thing

HIDDEN: frozenset[Modality] = frozenset({"behavioural"})
SEEN: frozenset[Modality] = frozenset({"visual", "behavioural"})
ANOTHER_BODY = "VB-ROB"
OTHER_BODY: BodyName = "arm6"
MOST_CLUTTER, MOVED_M, GAP_M, CART_M = 4, 0.08, 0.075, 0.25
_REACH_M = (0.22, 0.28)
_TRIES = 60


def hidden_object(trial: Trial, strength: float, rng: Rng) -> Trial | None:
    """The target up to three times as heavy or as light, its friction up to 40 % more or less; it looks the same."""
    thing = trial.thing
    if thing is None:
        return None
    heavier, rougher = rng.choice((-1, 1), 2)
    mass = thing.mass_kg * math.exp(math.log(3) * strength * heavier)
    return trial.with_thing(replace(thing, mass_kg=mass, friction=thing.friction * (1 + 0.4 * strength * rougher)))


def hidden_scene(trial: Trial, strength: float, rng: Rng) -> Trial:
    """All friction and damping up to 40 % more or less, actions delayed by up to two steps."""
    rougher, stiffer = rng.choice((-1, 1), 2)
    old = trial.scene.physics
    changed = replace(
        old,
        friction=old.friction * (1 + 0.4 * strength * rougher),
        damping=old.damping * (1 + 0.4 * strength * stiffer),
        delay_steps=old.delay_steps + round(2 * strength),
    )
    return replace(trial, scene=replace(trial.scene, physics=changed))


def pose(trial: Trial, strength: float, rng: Rng) -> Trial | None:
    """Every loose thing moved by up to 8 cm and turned by up to 90 degrees, where there is room."""
    scene = trial.scene
    for thing in scene.things:
        moved = _moved(thing, scene, strength, rng)
        scene = replace(scene, things=tuple(moved if item.name == thing.name else item for item in scene.things))
    return replace(trial, scene=scene) if scene.things else None


def clutter(trial: Trial, strength: float, rng: Rng) -> Trial | None:
    """Up to four loose grey blocks standing between things, in the way."""
    scene = trial.scene
    for index in range(max(1, round(MOST_CLUTTER * strength))):
        at = _free(scene, rng)
        if at is None:
            break
        block = Thing(
            name=f"clutter-{index}", size_m=(0.015, 0.015, 0.02), rgba=(0.5, 0.5, 0.5, 1.0), position_m=(*at, 0.02)
        )
        scene = replace(scene, things=(*scene.things, block))
    return replace(trial, scene=scene)


def morph(trial: Trial, strength: float, rng: Rng) -> Trial | None:
    """The target up to 30 % larger or smaller, standing where it stood."""
    thing = trial.thing
    if thing is None:
        return None
    factor = 1 + 0.3 * strength * float(rng.choice((-1, 1)))
    size = tuple(part * factor for part in thing.size_m)
    x, y, z = thing.position_m
    raised = z + size[-1] - thing.size_m[-1]
    return trial.with_thing(replace(thing, size_m=size, position_m=(x, y, raised), mass_kg=thing.mass_kg * factor**3))


def embodiment(trial: Trial, strength: float, rng: Rng) -> Trial | None:
    """Another arm with another gripper does the same."""
    if trial.scene.body != "arm7":
        return None
    return replace(trial, scene=replace(trial.scene, body=OTHER_BODY, start_joints=()))


def mirror(trial: Trial, strength: float, rng: Rng) -> Trial | None:
    """The scene mirrored left to right; a side that is asked for stays what the sentence says."""
    things = tuple(
        replace(item, position_m=_mirrored(item.position_m), yaw_rad=-item.yaw_rad) for item in trial.scene.things
    )
    fixtures = tuple(
        replace(item, position_m=_mirrored(item.position_m), yaw_rad=-item.yaw_rad) for item in trial.scene.fixtures
    )
    x, y, turn = trial.scene.start_base
    scene = replace(trial.scene, things=things, fixtures=fixtures, start_base=(x, -y, -turn))
    return replace(trial, scene=scene)


def morphable(task: str) -> bool:
    """Whether a task is about a loose thing whose size may change: a peg must fit its socket."""
    return tasks.get(task).family != "peg"


KNOBS = (
    Knob(code="B-HOBJ", title="hidden mass and friction", modalities=HIDDEN, score="object", change=hidden_object),
    Knob(code="B-HSC", title="hidden surface and delay", modalities=HIDDEN, score="environment", change=hidden_scene),
    Knob(code="VB-POSE", title="places of things", modalities=SEEN, score="environment", change=pose),
    Knob(code="VB-ISC", title="clutter in the way", modalities=SEEN, score="environment", change=clutter),
    Knob(
        code="VB-MOBJ",
        title="size of the target",
        modalities=SEEN,
        score="object",
        change=lambda trial, strength, rng: morph(trial, strength, rng) if morphable(trial.task) else None,
    ),
    Knob(code=ANOTHER_BODY, title="another arm", modalities=SEEN, score="body", change=embodiment),
    Knob(code="VB-SYM", title="mirrored scene", modalities=SEEN, score="action", change=mirror),
)


def _moved(thing: Thing, scene: Scene, strength: float, rng: Rng) -> Thing:
    turned = replace(thing, yaw_rad=thing.yaw_rad + strength * float(rng.uniform(-math.pi / 2, math.pi / 2)))
    x, y, z = thing.position_m
    for _ in range(_TRIES):
        way = float(rng.uniform(0, 2 * math.pi))
        at = x + MOVED_M * strength * math.cos(way), y + MOVED_M * strength * math.sin(way)
        if abs(at[0]) < _REACH_M[0] and abs(at[1]) < _REACH_M[1] and gap_m(at, scene, thing.name) >= GAP_M:
            return replace(turned, position_m=(*at, z))
    return turned


def _free(scene: Scene, rng: Rng) -> tuple[float, float] | None:
    for _ in range(_TRIES):
        at = float(rng.uniform(-0.18, 0.18)), float(rng.uniform(-0.24, 0.24))
        x, y, _ = scene.start_base
        clear = scene.body != "mobile" or math.hypot(at[0] - x, at[1] - y) > CART_M
        if clear and GAP_M <= gap_m(at, scene) <= 2 * GAP_M:
            return at
    return None


def _mirrored(at: tuple[float, float, float]) -> tuple[float, float, float]:
    return at[0], -at[1], at[2]
