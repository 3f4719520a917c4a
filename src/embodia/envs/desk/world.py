"""One Desk scene under physics: built from a `Scene`, moved by actions, asked by name.

A world is asked for what no policy may see: poses, contacts, forces. Experts, judges and tests need them. The one thing
to watch: derived values are brought up to date when the first question after a step is asked, and questions never
change what happens next.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import mujoco
import numpy as np
import numpy.typing as npt

from embodia.core.names import unknown
from embodia.envs.desk.bodies import body as body_named
from embodia.envs.desk.build import TIMESTEP_S, Models
from embodia.envs.desk.control import ArmControl, Control, Wheels, action_spec, forward
from embodia.envs.desk.scenes import Scene

Floats = npt.NDArray[np.float64]
_STATE = int(mujoco.mjtState.mjSTATE_INTEGRATION)


class World:
    """A scene that runs. `models` is the store to take the compiled model from; without one it is compiled anew."""

    def __init__(self, scene: Scene, *, control: Control = "ee", models: Models | None = None) -> None:
        self.scene, self.control = scene, control
        self.body = body_named(scene.body)
        self.action_spec = action_spec(self.body, control)
        self.model = (models or Models()).model(scene)
        self.data = mujoco.MjData(self.model)
        self.substeps = round(1.0 / (self.body.rate_hz * TIMESTEP_S))
        self.arms = tuple(ArmControl(self.model, self.body, index) for index in range(len(self.body.arms)))
        self.wheels = Wheels(self.model, self.body) if self.body.wheels else None
        self._widths = tuple(6 if control == "ee" else len(arm.joints) + 1 for arm in self.body.arms)
        self._bodies = {item.name: self.model.body(f"thing{i}").id for i, item in enumerate(scene.things)}
        self._bodies |= {item.name: self.model.body(f"fixture{i}").id for i, item in enumerate(scene.fixtures)}
        self._fixtures = {item.name: i for i, item in enumerate(scene.fixtures)}
        self._owners = self._label_geoms()
        self._waiting: deque[Floats] = deque()
        self._fresh = False
        self.reset()

    @property
    def names(self) -> tuple[str, ...]:
        """Things and fixtures by name."""
        return tuple(self._bodies)

    @property
    def robot_names(self) -> tuple[str, ...]:
        """The names that together are the robot."""
        return (*("arm" if index == 0 else f"arm{index}" for index in range(len(self.arms))), "cart")

    def geoms(self, name: str) -> npt.NDArray[np.bool_]:
        """Which geoms (G,) belong to a name. Raises `UnknownNameError`."""
        return self._mask(name)

    def reset(self) -> None:
        """Back to the start of the scene, at rest."""
        mujoco.mj_resetData(self.model, self.data)
        joints = self.scene.start_joints or tuple(value for arm in self.body.arms for value in arm.home)
        done = 0
        for arm in self.arms:
            count = len(arm.target)
            self.data.qpos[arm.joints] = joints[done : done + count]
            self.data.qpos[arm.fingers] = arm.arm.gripper.opening_m / 2
            done += count
        if self.wheels is not None:
            self.data.qpos[self.wheels.joints] = self.scene.start_base
        for item, index in ((item, self._fixtures[item.name]) for item in self.scene.fixtures):
            if item.kind in ("drawer", "button", "switch"):
                joint = self.model.joint(f"fixture{index}/part")
                scale = float(joint.range[1]) if item.kind == "button" else 1.0
                self.data.qpos[int(joint.qposadr[0])] = item.start * scale
        mujoco.mj_forward(self.model, self.data)
        for arm in self.arms:
            arm.begin(self.data)
        rest = np.zeros(self.action_spec.dim)
        self._waiting = deque([rest] * self.scene.physics.delay_steps)
        self._fresh = False

    def apply(self, action: npt.NDArray[np.floating[Any]]) -> None:
        """One control period under `action` (A,), each component cut to [-1, 1]."""
        self.command(action)
        mujoco.mj_step(self.model, self.data, self.substeps)

    def command(self, action: npt.NDArray[np.floating[Any]]) -> None:
        """Set the servo targets of one action without letting time pass."""
        clipped = np.clip(action, -1.0, 1.0, dtype=np.float64)
        if self.scene.physics.delay_steps:
            self._waiting.append(clipped)
            clipped = self._waiting.popleft()
        self.refresh()
        start = 0
        for arm, width in zip(self.arms, self._widths, strict=True):
            part = clipped[start : start + width]
            if self.control == "ee":
                arm.move_hand(self.data, part)
            else:
                arm.move_joints(self.data, part)
            start += width
        if self.wheels is not None:
            self.wheels.move(self.data, clipped[start:])
        self._fresh = False

    def idle(self) -> None:
        """One control period in which the servos keep their targets."""
        mujoco.mj_step(self.model, self.data, self.substeps)
        self._fresh = False

    def refresh(self) -> None:
        """Bring positions, contacts and forces up to date; done by every question."""
        if not self._fresh:
            forward(self.model, self.data)
            self._fresh = True

    def settle(self, seconds: float = 0.3) -> None:
        """Let things come to rest while the arms hold their commanded posture."""
        mujoco.mj_step(self.model, self.data, max(1, round(seconds / TIMESTEP_S)))
        self._fresh = False

    def pose(self, name: str) -> tuple[Floats, Floats]:
        """Position (3,) and quaternion w x y z (4,) of a thing or fixture; copies. Raises `UnknownNameError`."""
        self.refresh()
        index = self._body(name)
        return self.data.xpos[index].copy(), self.data.xquat[index].copy()

    def velocity(self, name: str) -> Floats:
        """Turning and linear speed of a thing in world axes (6,), rad/s and m/s."""
        self.refresh()
        found = np.zeros(6)
        kind = mujoco.mjtObj.mjOBJ_BODY
        mujoco.mj_objectVelocity(self.model, self.data, kind, self._body(name), found, 0)
        return found

    def joint(self, name: str) -> float:
        """What a fixture's part has moved: drawer m, button fraction pressed 0..1, switch rad."""
        if name not in self._fixtures:
            raise unknown("fixture", name, self._fixtures)
        index = self._fixtures[name]
        joint = self.model.joint(f"fixture{index}/part")
        value = float(self.data.qpos[int(joint.qposadr[0])])
        return value / float(joint.range[1]) if self.scene.fixtures[index].kind == "button" else value

    def part(self, name: str) -> tuple[Floats, Floats]:
        """Position and quaternion of the moving part of a fixture; copies."""
        self.refresh()
        index = self.model.body(f"fixture{self._fixtures[name]}/part").id
        return self.data.xpos[index].copy(), self.data.xquat[index].copy()

    def tool(self, arm: int = 0) -> tuple[Floats, Floats]:
        """Tool point (3,) and quaternion (4,) in the world; copies."""
        self.refresh()
        quaternion = np.zeros(4)
        site = self.arms[arm].site
        mujoco.mju_mat2Quat(quaternion, self.data.site_xmat[site])
        return self.data.site_xpos[site].copy(), quaternion

    def base(self) -> Floats:
        """Where the wheels stand: x, y (m) and heading (rad); zeros for a body without wheels."""
        return np.zeros(3) if self.wheels is None else self.data.qpos[self.wheels.joints].copy()

    def gripper(self, arm: int = 0) -> float:
        """Opening of a gripper, 0 closed to 1 open."""
        item = self.arms[arm]
        return float(self.data.qpos[item.fingers].sum()) / item.arm.gripper.opening_m

    def touching(self, first: str, second: str) -> bool:
        """Whether two named objects touch; "hand", "hand1", "arm", "arm1", "table" and "cart" are names too."""
        left, right = self._mask(first), self._mask(second)
        return any((left[one] and right[two]) or (left[two] and right[one]) for one, two in self._contacts())

    def contact_force(self, name: str) -> float:
        """Sum of the normal forces on a named object, N."""
        mask = self._mask(name)
        pairs = self._contacts()
        return sum(self._normal(k) for k, (one, two) in enumerate(pairs) if mask[one] != mask[two])

    def grip_force(self, arm: int = 0) -> float:
        """The smaller of the normal forces on the two pads, N."""
        pads = [self.model.geom(f"arm{arm}/pad{side}").id for side in (0, 1)]
        forces = [0.0, 0.0]
        for k, pair in enumerate(self._contacts()):
            for side, pad in enumerate(pads):
                if pad in pair and not all(geom in pads for geom in pair):
                    forces[side] += self._normal(k)
        return min(forces)

    def holding(self, name: str, arm: int | None = None) -> bool:
        """Whether both pads of an arm (of any arm) press on a thing."""
        arms = range(len(self.arms)) if arm is None else (arm,)
        mask, pairs = self._mask(name), self._contacts()
        for index in arms:
            pads = [self.model.geom(f"arm{index}/pad{side}").id for side in (0, 1)]
            if all(any((a == pad and mask[b]) or (b == pad and mask[a]) for a, b in pairs) for pad in pads):
                return True
        return False

    def state(self) -> Floats:
        """Everything the future depends on, as one vector."""
        physics = np.zeros(mujoco.mj_stateSize(self.model, _STATE))
        mujoco.mj_getState(self.model, self.data, physics, _STATE)
        return np.concatenate([physics, *(arm.state for arm in self.arms), *self._waiting])

    def set_state(self, state: Floats) -> None:
        """Put back what `state` returned."""
        size = mujoco.mj_stateSize(self.model, _STATE)
        mujoco.mj_setState(self.model, self.data, state[:size], _STATE)
        for arm in self.arms:
            arm.state[:] = state[size : size + len(arm.state)]
            size += len(arm.state)
        dim = self.action_spec.dim
        self._waiting = deque(part.copy() for part in state[size:].reshape(-1, dim)) if len(state) > size else deque()
        self._fresh = False

    def _body(self, name: str) -> int:
        if name not in self._bodies:
            raise unknown("object", name, self._bodies)
        return int(self._bodies[name])

    def _contacts(self) -> list[list[int]]:
        self.refresh()
        return self.data.contact.geom.tolist() if self.data.ncon else []

    def _normal(self, contact: int) -> float:
        found = np.zeros(6)
        mujoco.mj_contactForce(self.model, self.data, contact, found)
        return float(found[0])

    def _mask(self, name: str) -> npt.NDArray[np.bool_]:
        if name not in self._owners:
            raise unknown("object", name, self._owners)
        return self._owners[name]

    def _label_geoms(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Name -> which geoms belong to it."""
        model = self.model
        root = model.geom_bodyid.copy()
        names = [model.body(i).name for i in range(model.nbody)]
        owner = dict.fromkeys(self._bodies, np.zeros(0, dtype=np.bool_))
        for name, index in self._bodies.items():
            inside = _subtree(model, index)
            owner[name] = inside[root]
        for index in range(len(self.arms)):
            suffix = "" if index == 0 else str(index)
            hand = [names[b].startswith((f"arm{index}/palm", f"arm{index}/finger")) for b in root]
            whole = [names[b].startswith(f"arm{index}/") for b in root]
            owner[f"hand{suffix}"], owner[f"arm{suffix}"] = np.array(hand), np.array(whole)
        owner["table"] = np.arange(model.ngeom) == model.geom("table").id
        owner["cart"] = np.array([names[b] == "cart" for b in root])
        return owner


def _subtree(model: Any, root: int) -> npt.NDArray[np.bool_]:
    inside = np.zeros(model.nbody, dtype=np.bool_)
    inside[root] = True
    for index in range(root + 1, model.nbody):
        inside[index] = inside[model.body_parentid[index]]
    return inside
