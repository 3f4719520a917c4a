"""FMB's object protocol (arXiv 2401.08553): the same deed with seen and unseen shapes, sizes and places of the thing.

Four conditions beside the seen one: a shape, a size, a place that training never showed, and all three at once. The one
thing to watch: an unseen shape keeps colour and name, so that the sentence still means it; a policy that looks for a
cube by its outline has to take the nearest thing to one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from embodia.core.names import unknown
from embodia.core.seeds import generator
from embodia.envs.desk.knobs import Trial, trial, turned
from embodia.envs.desk.scenes import Shape, Thing

UNSEEN: Mapping[str, tuple[Shape, ...]] = MappingProxyType(
    {"box": ("ellipsoid", "capsule"), "sphere": ("ellipsoid",), "cylinder": ("capsule", "box")}
)
"""Shape of training -> shapes that stand in for it."""

CONDITIONS = ("seen", "unseen shape", "unseen size", "unseen place", "unseen in all")


def presented(task: str, seed: int, *, condition: str) -> Trial:
    """The episode of (task, seed) under a condition. Raises `UnknownNameError`."""
    if condition not in CONDITIONS:
        raise unknown("condition", condition, CONDITIONS)
    found = trial(task, seed)
    everything = condition == "unseen in all"
    if condition == "unseen shape" or everything:
        found = _reshaped(found, seed)
    if condition == "unseen size" or everything:
        found = turned(found, "VB-MOBJ", 1.0, seed) or found
    if condition == "unseen place" or everything:
        found = turned(found, "VB-POSE", 1.0, seed) or found
    return found


def _reshaped(found: Trial, seed: int) -> Trial:
    thing = found.thing
    if thing is None or thing.shape not in UNSEEN:
        return found
    ways = UNSEEN[thing.shape]
    shape = ways[int(generator(seed, "unseen shape").integers(len(ways)))]
    return found.with_thing(_as(thing, shape))


def _as(thing: Thing, shape: Shape) -> Thing:
    """The thing in another shape of about the same width, standing on the table."""
    width = thing.size_m[0]
    size = {"ellipsoid": (width * 1.2, width, width), "capsule": (width * 0.9, width * 0.5), "box": (width,) * 3}[shape]
    height = {"ellipsoid": width, "capsule": width * 1.4, "box": width}[shape]
    x, y, _ = thing.position_m
    return replace(thing, shape=shape, size_m=size, position_m=(x, y, height))
