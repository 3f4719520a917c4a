"""What a Desk scene is: plain frozen records that go through JSON and back, and nothing of the simulator.

Lengths are metres, angles radians, z = 0 is the table top, x points away from the robot, y to its left. Sizes are half
sizes, in MuJoCo's order. The one thing to watch: a name must be unique among things and fixtures, because worlds are
asked by name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from embodia.core.errors import ConfigError

Shape: TypeAlias = Literal["box", "sphere", "cylinder", "capsule", "ellipsoid", "cup"]
Kind: TypeAlias = Literal["drawer", "button", "switch", "socket", "bin", "wall", "shelf", "bowl", "mark"]
BodyName: TypeAlias = Literal["arm7", "arm6", "bimanual", "mobile", "hand"]
Vector: TypeAlias = tuple[float, float, float]
Rgb: TypeAlias = tuple[float, float, float]
Rgba: TypeAlias = tuple[float, float, float, float]

SIZES: dict[str, int] = {"box": 3, "sphere": 1, "cylinder": 2, "capsule": 2, "ellipsoid": 3, "cup": 2}
"""How many half sizes a shape has: cylinder, capsule and cup are (radius, half height)."""


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A loose object, or with `movable=False` one that is part of the furniture.

    A cup is an open container with a floor; `size_m` are its outer radius and half height.
    """

    name: str
    shape: Shape = "box"
    size_m: tuple[float, ...] = (0.02, 0.02, 0.02)
    rgba: Rgba = (0.8, 0.1, 0.1, 1.0)
    position_m: Vector = (0.0, 0.0, 0.02)
    yaw_rad: float = 0.0
    mass_kg: float = 0.05
    friction: float = 0.8
    movable: bool = True

    def __post_init__(self) -> None:
        if len(self.size_m) != SIZES[self.shape] or min(self.size_m) <= 0 or self.mass_kg <= 0:
            raise ConfigError(
                f"a {self.shape} has {SIZES[self.shape]} positive half sizes and a positive mass", leaf=self.name
            )


@dataclass(frozen=True, kw_only=True)
class Fixture:
    """Something fixed to the table, perhaps with a part that moves.

    drawer  size_m = half width, half depth, half height of the cabinet; opens along its own -x; start = opening in m
    button  size_m = radius, half height of the housing; pressed down; start = pressed fraction
    switch  size_m = half width, half depth of the base, lever length; start = angle in rad, either side of upright
    socket  size_m = half width of the hole, half width outside, half height; a square hole
    bin     size_m = half width, half depth, half height; open at the top
    bowl    size_m = outer radius, half height; round, open at the top
    shelf   size_m = half width, half depth, height of the board above the table
    wall    size_m = half sizes of a solid block
    mark    size_m = radius, or two half sizes of a rectangle; painted on the table, touches nothing
    """

    kind: Kind
    name: str
    size_m: tuple[float, ...]
    position_m: Vector = (0.0, 0.0, 0.0)
    yaw_rad: float = 0.0
    rgba: Rgba = (0.6, 0.6, 0.6, 1.0)
    start: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Look:
    """How the scene looks; nothing here touches physics.

    `camera_shift_m` and `camera_turn_deg` move the fixed cameras; `distractors` are painted boxes at the table's rim.
    """

    table_rgb: Rgb = (0.62, 0.55, 0.47)
    backdrop_rgb: Rgb = (0.25, 0.28, 0.32)
    light_direction: Vector = (-0.3, 0.25, -1.0)
    brightness: float = 1.0
    camera_shift_m: Vector = (0.0, 0.0, 0.0)
    camera_turn_deg: Vector = (0.0, 0.0, 0.0)
    distractors: tuple[Thing, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Physics:
    """Factors on what the scene says: friction, mass of things, damping of joints; delay of actions in steps."""

    friction: float = 1.0
    mass: float = 1.0
    damping: float = 1.0
    delay_steps: int = 0


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One start: who acts, what lies where, how it looks, how it moves.

    `start_joints` replaces the body's own start posture (all arm joints, arm after arm); empty means the body's own;
    `start_base` is where wheels stand at first: x, y (m), heading (rad).
    """

    body: BodyName = "arm7"
    things: tuple[Thing, ...] = ()
    fixtures: tuple[Fixture, ...] = ()
    look: Look = field(default_factory=Look)
    physics: Physics = field(default_factory=Physics)
    start_joints: tuple[float, ...] = ()
    start_base: Vector = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        loose = (*self.things, *self.look.distractors)
        names = [thing.name for thing in loose] + [fixture.name for fixture in self.fixtures]
        if len(set(names)) != len(names):
            raise ConfigError(f"names of things and fixtures must differ, got {names}", leaf="scene")

    def thing(self, name: str) -> Thing:
        """The thing of that name. Raises `ConfigError`."""
        for item in self.things:
            if item.name == name:
                return item
        raise ConfigError(f"no thing {name!r} in the scene", leaf=name)
