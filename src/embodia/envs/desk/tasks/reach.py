"""Touch the thing that is named: the tool point comes near it, the other things stay where they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from embodia.envs.desk.scenes import BodyName, Scene
from embodia.envs.desk.tasks import Memory
from embodia.envs.desk.tasks._layout import places, thing
from embodia.envs.desk.world import World
from embodia.envs.protocol import Split

NEAR_M = 0.045
_PAIRS = (("red-cube", "blue-cube"), ("green-ball", "yellow-ball"), ("red-can", "green-can"), ("blue-ball", "red-ball"))


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Reach `target`; `other` is always there too."""

    target: str
    other: str
    body: BodyName = "arm7"
    held_out: bool = False
    family: str = "reach"

    @property
    def name(self) -> str:
        """Unique name."""
        return f"reach/{self.target}"

    @property
    def partners(self) -> tuple[str, ...]:
        """The task of reaching the other thing."""
        return (f"reach/{self.other}",)

    def scene(self, rng: np.random.Generator) -> Scene:
        """Two things, anywhere."""
        where = places(rng, 2, apart=0.13)
        names = sorted((self.target, self.other))
        return Scene(body=self.body, things=tuple(thing(n, p) for n, p in zip(names, where, strict=True)))

    def begin(self, world: World) -> Memory:
        """Nothing is remembered."""
        return {}

    def success(self, world: World, memory: Memory) -> bool:
        """The tool point is within `NEAR_M` of the centre."""
        return bool(np.linalg.norm(world.tool()[0] - world.pose(self.target)[0]) < NEAR_M)

    def sentences(self, split: Split) -> tuple[str, ...]:
        """How it is said."""
        words = self.target.replace("-", " ")
        known: dict[str, tuple[str, ...]] = {
            "canonical": (f"reach the {words}",),
            "train": (f"reach the {words}", f"go to the {words}", f"move the hand to the {words}"),
            "held_out": (f"bring your gripper to the {words}", f"touch the {words}"),
        }
        return known[split]


TASKS = tuple(Reach(target=a, other=b) for pair in _PAIRS for a, b in (pair, pair[::-1]))
