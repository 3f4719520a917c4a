"""From a scene to a compiled MuJoCo model, and a store of models whose numbers are rewritten in place.

Compiling takes about a millisecond, making a graphics context for a new model a hundred times that; so a new scene is
compiled and then, where a model of the same structure is kept, its numbers are copied into that one, which every
painter made for it goes on using. The one thing to watch: a model from the store belongs to one world at a time.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import mujoco
import numpy as np

from embodia.envs.desk.bodies import body as body_named
from embodia.envs.desk.furniture import add_distractor, add_fixture, add_thing
from embodia.envs.desk.machines import ALL_BITS, WORLD_BIT, add_body
from embodia.envs.desk.scenes import Look, Scene

TIMESTEP_S = 1.0 / 300.0
FIXED_CAMERAS: dict[str, tuple[tuple[float, float, float], tuple[float, float, float], float]] = {
    "front": ((0.75, 0.0, 0.62), (-0.06, 0.0, 0.07), 46.0),
    "side": ((0.0, 0.85, 0.5), (0.0, 0.0, 0.04), 42.0),
    "top": ((0.0, 0.0, 1.15), (0.0, 0.0, 0.0), 42.0),
}
"""Name -> where it stands, what it looks at (m), vertical field of view (degrees)."""
_TABLE_M = (0.55, 0.7, 0.05)
_LAMP_M = 2.5
"""How far the lamp hangs; with parallel rays MuJoCo's shadows are full of stripes."""
_MEMORY = 6 * 2**20
_ROOM, _WIDE = 3.0, 3.2


def build_spec(scene: Scene) -> Any:
    """The uncompiled model of a scene."""
    spec = mujoco.MjSpec()
    spec.compiler.degree = 0
    spec.memory = _MEMORY
    option = spec.option
    option.timestep, option.integrator = TIMESTEP_S, mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.cone, option.impratio = mujoco.mjtCone.mjCONE_ELLIPTIC, 10.0
    option.iterations, option.ls_iterations = 30, 20
    body = body_named(scene.body)
    _surroundings(spec, scene)
    add_body(spec, body, scene.physics.damping, scene.physics.friction)
    for index, fixture in enumerate(scene.fixtures):
        add_fixture(spec, fixture, index, scene.physics)
    for index, thing in enumerate(scene.things):
        add_thing(spec, thing, index, scene.physics)
    for index, thing in enumerate(scene.look.distractors):
        add_distractor(spec, thing, index)
    return spec


def compile_scene(scene: Scene) -> Any:
    """A new `mujoco.MjModel`."""
    return build_spec(scene).compile()


class Models:
    """Keeps one compiled model for each structure that was asked for."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], Any] = {}

    def model(self, scene: Scene) -> Any:
        """A model with exactly the numbers of a fresh compilation of `scene`, perhaps an object given out before."""
        fresh = compile_scene(scene)
        key = _structure(fresh)
        kept = self._kept.setdefault(key, fresh)
        if kept is not fresh:
            _rewrite(kept, fresh)
        return kept


@cache
def _fields() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the arrays and of the sizes of a compiled model."""
    model = mujoco.MjSpec().compile()
    values = {name: getattr(model, name) for name in dir(model) if not name.startswith("_")}
    arrays = tuple(name for name, value in values.items() if isinstance(value, np.ndarray))
    return arrays, tuple(name for name, value in values.items() if name[0] == "n" and isinstance(value, int))


def _structure(model: Any) -> tuple[object, ...]:
    return (*(getattr(model, name) for name in _fields()[1]), model.names)


def _rewrite(kept: Any, fresh: Any) -> None:
    for name in _fields()[0]:
        getattr(kept, name)[...] = getattr(fresh, name)
    kept.stat.extent, kept.stat.meaninertia = fresh.stat.extent, fresh.stat.meaninertia
    kept.stat.meanmass, kept.stat.meansize = fresh.stat.meanmass, fresh.stat.meansize
    kept.stat.center[:] = fresh.stat.center
    kept.vis.headlight.ambient[:] = fresh.vis.headlight.ambient
    kept.vis.headlight.diffuse[:] = fresh.vis.headlight.diffuse


def _surroundings(spec: Any, scene: Scene) -> None:
    look, world = scene.look, spec.worldbody
    plane = mujoco.mjtGeom.mjGEOM_PLANE
    friction = [0.05, 0.005, 0.0001]
    wheels = body_named(scene.body).wheels
    world.add_geom(
        name="table",
        type=plane,
        size=(_ROOM, _ROOM, 0.05) if wheels else _TABLE_M,
        rgba=[*look.table_rgb, 1.0],
        friction=friction,
        contype=WORLD_BIT,
        conaffinity=ALL_BITS,
    )
    world.add_geom(
        name="backdrop",
        type=plane,
        size=[40.0, 40.0, 0.05],
        pos=[0.0, 0.0, -0.6],
        rgba=[*look.backdrop_rgb, 1.0],
        contype=0,
        conaffinity=0,
    )
    direction = np.array(look.light_direction) / np.linalg.norm(look.light_direction)
    world.add_light(
        pos=-_LAMP_M * direction,
        dir=direction,
        directional=False,
        cutoff=60.0,
        exponent=0.0,
        diffuse=[0.6 * look.brightness] * 3,
        specular=[0.1] * 3,
        castshadow=True,
    )
    spec.visual.headlight.ambient = [0.35 * look.brightness] * 3
    spec.visual.headlight.diffuse = [0.25 * look.brightness] * 3
    spec.visual.headlight.specular = [0.0] * 3
    spec.visual.map.znear, spec.visual.map.zfar = 0.01, 20.0
    spec.stat.extent, spec.stat.center = 1.0, [0.0, 0.0, 0.0]
    farther = _WIDE if wheels else 1.0
    for name, (place, target, field) in FIXED_CAMERAS.items():
        _camera(world, name, farther * np.array(place), farther * np.array(target), field, look)


def _camera(world: Any, name: str, place: Any, target: Any, field: float, look: Look) -> None:
    where = place + np.array(look.camera_shift_m)
    turned, small = np.zeros(4), np.zeros(4)
    mujoco.mju_euler2Quat(small, np.deg2rad(look.camera_turn_deg), "xyz")
    mujoco.mju_mulQuat(turned, looking_at(place, target), small)
    world.add_camera(name=name, pos=where, quat=turned, fovy=field)


def looking_at(place: Any, target: Any) -> Any:
    """Orientation (w x y z) of a camera at `place` that looks at `target`, upright."""
    back = (place - target) / np.linalg.norm(place - target)
    up = np.array([-1.0, 0.0, 0.0]) if abs(back[2]) > 0.999 else np.array([0.0, 0.0, 1.0])
    right = np.cross(up, back)
    right /= np.linalg.norm(right)
    found = np.zeros(4)
    mujoco.mju_mat2Quat(found, np.stack([right, np.cross(back, right), back], axis=1).reshape(-1))
    return found
