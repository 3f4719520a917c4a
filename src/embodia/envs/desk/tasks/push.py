"""Push the named thing to a side: it moves at least so far that way, and the other thing is left alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from embodia.envs.desk.scenes import BodyName, Scene
from embodia.envs.desk.tasks import Memory
from embodia.envs.desk.tasks._layout import places, thing
from embodia.envs.desk.world import World
from embodia.envs.protocol import Split

FAR_M, ASTRAY_M, STILL_M = 0.07, 0.05, 0.03
DIRECTIONS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"left": (0.0, 1.0), "right": (0.0, -1.0), "away": (1.0, 0.0), "near": (-1.0, 0.0)}
)
_WORDS = {"left": "to the left", "right": "to the right", "away": "away from you", "near": "towards you"}
_PAIRS = (("red-cube", "blue-cube"), ("green-can", "yellow-can"))
_REGION = (-0.08, 0.10, -0.17, 0.17)


@dataclass(frozen=True, kw_only=True)
class Push:
    """Push `target` in `direction`, seen from the robot; `other` is always there too."""

    target: str
    other: str
    direction: str
    body: BodyName = "arm7"
    held_out: bool = False
    family: str = "push"

    @property
    def name(self) -> str:
        """Unique name."""
        return f"push/{self.target}/{self.direction}"

    @property
    def partners(self) -> tuple[str, ...]:
        """Both things, all directions, but this one."""
        names = (f"push/{thing}/{way}" for thing in (self.target, self.other) for way in DIRECTIONS)
        return tuple(name for name in names if name != self.name)

    def scene(self, rng: np.random.Generator) -> Scene:
        """Two things with room on every side."""
        where = places(rng, 2, apart=0.16, region=_REGION)
        names = sorted((self.target, self.other))
        return Scene(body=self.body, things=tuple(thing(n, p) for n, p in zip(names, where, strict=True)))

    def begin(self, world: World) -> Memory:
        """Where the things start."""
        return {name: world.pose(name)[0] for name in (self.target, self.other)}

    def success(self, world: World, memory: Memory) -> bool:
        """Moved `FAR_M` along the direction, less than `ASTRAY_M` across it; the other less than `STILL_M`."""
        moved = (world.pose(self.target)[0] - memory[self.target])[:2]
        along = np.array(DIRECTIONS[self.direction])
        astray = abs(moved[0] * along[1] - moved[1] * along[0])
        still = np.linalg.norm(world.pose(self.other)[0] - memory[self.other]) < STILL_M
        return bool(moved @ along > FAR_M and astray < ASTRAY_M and still)

    def sentences(self, split: Split) -> tuple[str, ...]:
        """How it is said."""
        words, way = self.target.replace("-", " "), _WORDS[self.direction]
        known: dict[str, tuple[str, ...]] = {
            "canonical": (f"push the {words} {way}",),
            "train": (f"push the {words} {way}", f"shove the {words} {way}", f"slide the {words} {way}"),
            "held_out": (f"move the {words} {way} by pushing it", f"nudge the {words} {way}"),
        }
        return known[split]


TASKS = tuple(
    Push(target=a, other=b, direction=way) for pair in _PAIRS for a, b in (pair, pair[::-1]) for way in DIRECTIONS
)
