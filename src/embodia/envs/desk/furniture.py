"""Fixtures and things as parts of a MuJoCo model, built of boxes, cylinders and spheres.

Fixture i is the body "fixture{i}" with, where something moves, the body and joint "fixture{i}/part"; thing i is the
body "thing{i}". The one thing to watch: a fixture always has the same number of geoms for its kind, so that scenes of
one structure share a compiled model.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol

import mujoco
import numpy as np

from embodia.core.errors import ConfigError
from embodia.envs.desk.machines import ALL_BITS, WORLD_BIT
from embodia.envs.desk.scenes import Fixture, Kind, Physics, Rgba, Thing

_TYPES: Mapping[str, Any] = MappingProxyType(
    {
        "box": mujoco.mjtGeom.mjGEOM_BOX,
        "sphere": mujoco.mjtGeom.mjGEOM_SPHERE,
        "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
        "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
        "ellipsoid": mujoco.mjtGeom.mjGEOM_ELLIPSOID,
    }
)
_THIN = 0.004
_ROUND = 10
_LIFT = 0.002
"""Staves end this far above the ground, so that a round container stands on its floor alone."""
_DARK = 0.55
_ROLLING_M = 0.001
"""Rolling friction, so that a ball comes to rest."""


def quaternion(yaw_rad: float) -> list[float]:
    """A turn about the vertical, w x y z."""
    return [float(np.cos(yaw_rad / 2)), 0.0, 0.0, float(np.sin(yaw_rad / 2))]


def add_thing(spec: Any, thing: Thing, index: int, physics: Physics) -> None:
    """Put a thing into the world of `spec`."""
    body = spec.worldbody.add_body(name=f"thing{index}", pos=thing.position_m, quat=quaternion(thing.yaw_rad))
    if thing.movable:
        body.add_freejoint(name=f"thing{index}")
    mass = thing.mass_kg * physics.mass
    friction = [thing.friction * physics.friction, 0.01, _ROLLING_M]
    if thing.shape == "cup":
        _ring(body, thing.size_m[0], thing.size_m[1], thing.rgba, mass=mass, friction=friction)
        return
    size = [*thing.size_m, 0.0, 0.0][:3]
    geom = _solid(body, _TYPES[thing.shape], size, thing.rgba, mass=mass, friction=friction)
    if thing.shape != "box":
        geom.condim = 6


def add_distractor(spec: Any, thing: Thing, index: int) -> None:
    """Something that is only seen."""
    body = spec.worldbody.add_body(name=f"distractor{index}", pos=thing.position_m, quat=quaternion(thing.yaw_rad))
    size = [*thing.size_m, 0.0, 0.0][:3]
    kind = "cylinder" if thing.shape == "cup" else thing.shape
    body.add_geom(type=_TYPES[kind], size=size, rgba=thing.rgba, contype=0, conaffinity=0)


def add_fixture(spec: Any, fixture: Fixture, index: int, physics: Physics) -> None:
    """Put a fixture into the world of `spec`. Raises `ConfigError` for a wrong number of sizes."""
    builder, sizes = _BUILDERS[fixture.kind]
    if len(fixture.size_m) not in sizes:
        raise ConfigError(f"a {fixture.kind} has {sizes[-1]} sizes, got {fixture.size_m}", leaf=fixture.name)
    body = spec.worldbody.add_body(name=f"fixture{index}", pos=fixture.position_m, quat=quaternion(fixture.yaw_rad))
    builder(body, fixture, f"fixture{index}/part", physics)
    if fixture.kind in ("drawer", "button", "switch"):
        # what is welded to the world is not spared from meeting its own moving part
        spec.add_exclude(bodyname1=f"fixture{index}", bodyname2=f"fixture{index}/part")


class _Builder(Protocol):
    def __call__(self, body: Any, fixture: Fixture, part: str, physics: Physics) -> None: ...


def _solid(
    body: Any,
    kind: Any,
    size: Any,
    rgba: Rgba,
    *,
    pos: Any = (0.0, 0.0, 0.0),
    mass: float = 0.0,
    friction: Any = (0.8, 0.01, 0.0005),
    quat: Any = (1.0, 0.0, 0.0, 0.0),
) -> Any:
    return body.add_geom(
        type=kind,
        size=size,
        pos=pos,
        quat=quat,
        rgba=rgba,
        friction=friction,
        condim=4,
        contype=WORLD_BIT,
        conaffinity=ALL_BITS,
        **({"mass": mass} if mass else {}),
    )


def _box(body: Any, half: Any, pos: Any, rgba: Rgba, mass: float = 0.0, yaw: float = 0.0) -> Any:
    return _solid(body, _TYPES["box"], half, rgba, pos=pos, mass=mass, quat=quaternion(yaw))


def _dark(rgba: Rgba) -> Rgba:
    return (rgba[0] * _DARK, rgba[1] * _DARK, rgba[2] * _DARK, rgba[3])


def _ring(body: Any, radius: float, half_height: float, rgba: Rgba, *, mass: float, friction: Any) -> None:
    """A round container about its own centre: a floor and ten staves."""
    inner = radius - 2 * _THIN
    share = mass / (_ROUND + 2)
    floor = [inner + _THIN, _THIN, 0.0]
    _solid(
        body,
        _TYPES["cylinder"],
        floor,
        _dark(rgba),
        pos=(0.0, 0.0, _THIN - half_height),
        mass=2 * share,
        friction=friction,
    )
    width = radius * np.tan(np.pi / _ROUND)
    for step in range(_ROUND):
        angle = 2 * np.pi * step / _ROUND
        middle = radius - _THIN
        pos = (middle * np.cos(angle), middle * np.sin(angle), _LIFT / 2)
        _solid(
            body,
            _TYPES["box"],
            [_THIN, width, half_height - _LIFT / 2],
            rgba,
            pos=pos,
            mass=share,
            friction=friction,
            quat=quaternion(angle),
        )


def _open_box(body: Any, width: float, depth: float, height: float, rgba: Rgba, mass: float = 0.0) -> None:
    """Floor and four walls; x runs along the depth, the floor's underside at z = 0."""
    share = mass / 5
    _box(body, [depth, width, _THIN], (0.0, 0.0, _THIN), _dark(rgba), share)
    for sign in (1.0, -1.0):
        _box(body, [_THIN, width, height], (sign * (depth - _THIN), 0.0, height), rgba, share)
        _box(body, [depth, _THIN, height], (0.0, sign * (width - _THIN), height), rgba, share)


def _part(body: Any, name: str, pos: Any, *, kind: Any, axis: Any, low: float, high: float, **further: float) -> Any:
    part = body.add_body(name=name, pos=pos)
    part.add_joint(name=name, type=kind, axis=axis, limited=True, range=[low, high], **further)
    return part


def _drawer(body: Any, fixture: Fixture, part: str, physics: Physics) -> None:
    width, depth, height = fixture.size_m
    rgba = fixture.rgba
    _box(body, [depth, width, _THIN], (0.0, 0.0, 2 * height - _THIN), rgba)
    _box(body, [_THIN, width, height], (depth - _THIN, 0.0, height), rgba)
    for sign in (1.0, -1.0):
        _box(body, [depth, _THIN, height], (0.0, sign * (width - _THIN), height), rgba)
    low = 0.003
    box = _part(
        body,
        part,
        (-_THIN, 0.0, low),
        kind=mujoco.mjtJoint.mjJNT_SLIDE,
        axis=(-1.0, 0.0, 0.0),
        low=0.0,
        high=1.6 * depth,
        damping=2.0 * physics.damping,
        frictionloss=0.5,
        armature=0.02,
    )
    _open_box(box, width - 3 * _THIN, depth - 2 * _THIN, height - 2 * _THIN, _dark(rgba), mass=0.2)
    handle = (0.75, 0.75, 0.78, 1.0)
    stem = -depth - 0.008
    _box(box, [0.014, 0.006, 0.005], (stem, 0.0, height), handle, 0.01)
    _box(box, [0.006, 0.03, 0.008], (stem - 0.018, 0.0, height), handle, 0.03)


def _button(body: Any, fixture: Fixture, part: str, physics: Physics) -> None:
    radius, half = fixture.size_m
    _solid(body, _TYPES["cylinder"], [1.35 * radius, half, 0.0], (0.3, 0.3, 0.33, 1.0), pos=(0.0, 0.0, half))
    travel = 0.02
    cap = _part(
        body,
        part,
        (0.0, 0.0, 2 * half + travel),
        kind=mujoco.mjtJoint.mjJNT_SLIDE,
        axis=(0.0, 0.0, -1.0),
        low=0.0,
        high=travel,
        damping=4.0 * physics.damping,
        stiffness=120.0,
        springref=-0.004,
        armature=0.01,
    )
    _solid(cap, _TYPES["cylinder"], [radius, 0.012, 0.0], fixture.rgba, pos=(0.0, 0.0, -0.010), mass=0.05)


def _switch(body: Any, fixture: Fixture, part: str, physics: Physics) -> None:
    width, depth, length = fixture.size_m
    _box(body, [depth, width, 0.012], (0.0, 0.0, 0.012), (0.3, 0.3, 0.33, 1.0))
    lever = _part(
        body,
        part,
        (0.0, 0.0, 0.024),
        kind=mujoco.mjtJoint.mjJNT_HINGE,
        axis=(0.0, 1.0, 0.0),
        low=-0.6,
        high=0.6,
        damping=0.02 * physics.damping,
        frictionloss=0.05,
        armature=0.001,
    )
    _solid(lever, _TYPES["capsule"], [0.008, length / 2, 0.0], fixture.rgba, pos=(0.0, 0.0, length / 2), mass=0.03)
    _solid(lever, _TYPES["sphere"], [0.015, 0.0, 0.0], fixture.rgba, pos=(0.0, 0.0, length), mass=0.01)


def _socket(body: Any, fixture: Fixture, part: str, physics: Physics) -> None:
    hole, outside, half = fixture.size_m
    thick = (outside - hole) / 2
    for sign in (1.0, -1.0):
        _box(body, [thick, outside, half], (sign * (hole + thick), 0.0, half), fixture.rgba)
        _box(body, [hole, thick, half], (0.0, sign * (hole + thick), half), fixture.rgba)
    _paint(body, [hole, hole, 0.0005], (0.0, 0.0, 0.0005), (0.05, 0.05, 0.05, 1.0))


def _bin(body: Any, fixture: Fixture, part: str, physics: Physics) -> None:
    width, depth, height = fixture.size_m
    _open_box(body, width, depth, height, fixture.rgba)


def _bowl(body: Any, fixture: Fixture, part: str, physics: Physics) -> None:
    radius, half = fixture.size_m
    inside = body.add_body(pos=[0.0, 0.0, half])
    _ring(inside, radius, half, fixture.rgba, mass=0.0, friction=[0.8, 0.01, 0.0005])


def _shelf(body: Any, fixture: Fixture, part: str, physics: Physics) -> None:
    width, depth, height = fixture.size_m
    _box(body, [depth, width, 2 * _THIN], (0.0, 0.0, height - 2 * _THIN), fixture.rgba)
    for sign in (1.0, -1.0):
        _box(
            body,
            [depth, _THIN, height / 2 - 2 * _THIN],
            (0.0, sign * (width - _THIN), height / 2 - 2 * _THIN),
            _dark(fixture.rgba),
        )


def _wall(body: Any, fixture: Fixture, part: str, physics: Physics) -> None:
    _box(body, fixture.size_m, (0.0, 0.0, fixture.size_m[2]), fixture.rgba)


def _mark(body: Any, fixture: Fixture, part: str, physics: Physics) -> None:
    if len(fixture.size_m) == 2:
        _paint(body, [*fixture.size_m, 0.0005], (0.0, 0.0, 0.0005), fixture.rgba)
        return
    body.add_geom(
        type=_TYPES["cylinder"],
        size=[fixture.size_m[0], 0.0005, 0.0],
        pos=(0.0, 0.0, 0.0005),
        rgba=fixture.rgba,
        contype=0,
        conaffinity=0,
    )


def _paint(body: Any, half: Any, pos: Any, rgba: Rgba) -> None:
    body.add_geom(type=_TYPES["box"], size=half, pos=pos, rgba=rgba, contype=0, conaffinity=0)


_BUILDERS: Mapping[Kind, tuple[_Builder, tuple[int, ...]]] = MappingProxyType(
    {
        "drawer": (_drawer, (3,)),
        "button": (_button, (2,)),
        "switch": (_switch, (3,)),
        "socket": (_socket, (3,)),
        "bin": (_bin, (3,)),
        "bowl": (_bowl, (2,)),
        "shelf": (_shelf, (3,)),
        "wall": (_wall, (3,)),
        "mark": (_mark, (1, 2)),
    }
)
