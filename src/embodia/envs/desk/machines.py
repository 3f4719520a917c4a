"""Bodies as parts of a MuJoCo model: mounts, arms, grippers, wheels, with their servos.

Names inside a model are positional ("arm0/joint3", "arm0/pad1", "arm0/tool"), so that two scenes of one structure give
models that differ in numbers only. The one thing to watch: collision bits. Things and furniture have bit 1; the links
of arm i have bit 2 << i and meet everything but themselves.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import mujoco
import numpy as np

from embodia.envs.desk.bodies import Arm, Body, Joint
from embodia.envs.desk.kinematics import Solver

WORLD_BIT = 1
ALL_BITS = 0xFF
PAD_SOLIMP = (0.95, 0.99, 0.001, 0.5, 2.0)
PAD_SOLREF = (0.01, 1.0)
WRIST_FIELD_DEG = 75.0
"""Vertical field of view of a camera in the hand."""
PAD_TIP_M = 0.012
"""How far the pads reach beyond the tool point."""
_TURN, _DOWN = (0.0, 0.0, 0.0, 1.0), (0.0, 1.0, 0.0, 0.0)
_BOX, _CAPSULE, _CYLINDER = (
    mujoco.mjtGeom.mjGEOM_BOX,
    mujoco.mjtGeom.mjGEOM_CAPSULE,
    mujoco.mjtGeom.mjGEOM_CYLINDER,
)


def add_body(spec: Any, body: Body, damping: float, friction: float) -> None:
    """Put `body` into the world of `spec`; `damping` scales its joints, `friction` its pads."""
    mount = _wheels(spec, body) if body.wheels else spec.worldbody
    for index, arm in enumerate(body.arms):
        base = mount.add_body(name=f"arm{index}/base", pos=arm.base_m)
        _arm(spec, base, arm, index, damping, friction)


@lru_cache(maxsize=16)
def _alone(arm: Arm) -> Any:
    spec = mujoco.MjSpec()
    spec.compiler.degree = 0
    base = spec.worldbody.add_body(name="base")
    last = _chain(spec, base, arm, "", 1.0, bit=0, servos=False)
    sign = -1.0 if arm.hangs else 1.0
    reach = arm.joints[-1].reach_m[2] + sign * arm.gripper.reach_m
    last.add_site(name="tool", pos=[0.0, 0.0, reach], quat=_DOWN if arm.hangs else _TURN)
    return spec.compile()


def solver(arm: Arm) -> Solver:
    """The inverse kinematics of one arm, in the frame of its mount."""
    return Solver(_alone(arm), np.array(arm.home))


def servo(spec: Any, name: str, joint: str, stiffness: float, damping: float, limit: float) -> None:
    """A position servo on a joint, its force limited."""
    item = spec.add_actuator(name=name, target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT)
    item.gaintype, item.biastype = mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtBias.mjBIAS_AFFINE
    item.gainprm = [stiffness] + [0.0] * 9
    item.biasprm = [0.0, -stiffness, -damping] + [0.0] * 7
    item.forcelimited, item.forcerange = True, [-limit, limit]


def _arm(spec: Any, base: Any, arm: Arm, index: int, damping: float, friction: float) -> None:
    bit = 2 << index
    if not arm.hangs:
        base.add_geom(
            name=f"arm{index}/foot",
            type=_CYLINDER,
            size=[0.07, 0.02, 0.0],
            pos=[0.0, 0.0, 0.02],
            rgba=arm.rgba,
            contype=bit,
            conaffinity=_meets(bit),
        )
    last = _chain(spec, base, arm, f"arm{index}/", damping, bit=bit, servos=True)
    _gripper(spec, last, arm, index, bit, friction)


def _chain(spec: Any, base: Any, arm: Arm, prefix: str, damping: float, *, bit: int, servos: bool) -> Any:
    link = base
    for number, joint in enumerate(arm.joints):
        link = link.add_body(name=f"{prefix}link{number}", pos=joint.offset_m, gravcomp=1.0)
        name = f"{prefix}joint{number}"
        link.add_joint(
            name=name,
            type=mujoco.mjtJoint.mjJNT_SLIDE if joint.slides else mujoco.mjtJoint.mjJNT_HINGE,
            axis=joint.axis,
            limited=True,
            range=[joint.low, joint.high],
            armature=0.1,
            damping=damping,
        )
        _link_shape(link, joint, arm, bit)
        if servos:
            servo(spec, name, name, joint.stiffness, joint.damping, joint.limit)
    return link


def _link_shape(link: Any, joint: Joint, arm: Arm, bit: int) -> None:
    if joint.radius_m == 0.0:
        link.mass, link.inertia, link.explicitinertial = joint.mass_kg, [1e-3] * 3, True
        return
    link.add_geom(
        type=_CAPSULE,
        fromto=[0.0, 0.0, 0.0, *joint.reach_m],
        size=[joint.radius_m, 0.0, 0.0],
        mass=joint.mass_kg,
        rgba=arm.rgba,
        contype=bit,
        conaffinity=_meets(bit),
    )


def _meets(bit: int) -> int:
    """What a link meets besides what meets it: the world, and the arms of lower number."""
    return WORLD_BIT | (bit - 2)


def _gripper(spec: Any, last: Any, arm: Arm, index: int, bit: int, friction: float) -> None:
    grip, start = arm.gripper, arm.joints[-1].reach_m[2]
    mount = _DOWN if arm.hangs else _TURN
    palm = last.add_body(name=f"arm{index}/palm", pos=[0.0, 0.0, start], quat=mount, gravcomp=1.0)
    palm.add_geom(
        type=_BOX,
        size=grip.palm_m,
        pos=[0.0, 0.0, grip.palm_m[2]],
        mass=0.3,
        rgba=grip.rgba,
        contype=bit,
        conaffinity=_meets(bit),
    )
    palm.add_site(name=f"arm{index}/tool", pos=[0.0, 0.0, grip.reach_m], group=4)
    palm.add_site(name=f"arm{index}/wrist", pos=[0.0, 0.0, 0.0], group=4)
    palm.add_camera(
        name="wrist" if index == 0 else f"wrist{index}",
        pos=[0.085, 0.0, 0.0],
        quat=_wrist_quaternion(),
        fovy=WRIST_FIELD_DEG,
    )
    for side in (0, 1):
        _finger(spec, palm, arm, index, side, bit, friction)


def _wrist_quaternion() -> list[float]:
    """A camera looks along its own -z; this one looks along the tool's z, leant towards the tool point."""
    lean, quarter = 0.5 * 0.35, 0.5**0.5
    looking = np.zeros(4)
    mujoco.mju_mulQuat(
        looking, np.array([np.cos(lean), 0.0, -np.sin(lean), 0.0]), np.array([0.0, quarter, -quarter, 0.0])
    )
    return [float(value) for value in looking]


def _finger(spec: Any, palm: Any, arm: Arm, index: int, side: int, bit: int, friction: float) -> None:
    grip, sign = arm.gripper, 1.0 - 2.0 * side
    half = grip.pad_m
    name = f"arm{index}/finger{side}"
    finger = palm.add_body(name=name, pos=[0.0, sign * half[1], grip.reach_m], gravcomp=1.0)
    finger.add_joint(
        name=name,
        type=mujoco.mjtJoint.mjJNT_SLIDE,
        axis=[0.0, sign, 0.0],
        limited=True,
        range=[0.0, grip.opening_m / 2],
        armature=0.02,
        damping=1.0,
    )
    finger.add_geom(
        name=f"arm{index}/pad{side}",
        type=_BOX,
        size=half,
        pos=[0.0, 0.0, PAD_TIP_M - half[2]],
        mass=0.05,
        rgba=grip.rgba,
        condim=4,
        priority=1,
        friction=[grip.friction * friction, 0.02, 0.0001],
        solref=PAD_SOLREF,
        solimp=PAD_SOLIMP,
        contype=bit,
        conaffinity=_meets(bit),
    )
    if grip.human:
        _knuckles(finger, arm, side, sign)
    servo(spec, name, name, grip.stiffness, grip.damping, grip.force_n)


def _knuckles(finger: Any, arm: Arm, side: int, sign: float) -> None:
    """Four fingers on one side, a thumb on the other; only seen."""
    across = arm.gripper.pad_m[0]
    places = [-across, -across / 3, across / 3, across] if side == 0 else [0.0]
    top = arm.gripper.palm_m[2] - arm.gripper.reach_m
    for place in places:
        finger.add_geom(
            type=_CAPSULE,
            fromto=[1.3 * place, sign * 0.006, top, place, sign * 0.006, PAD_TIP_M - 0.008],
            size=[0.0085 if side == 0 else 0.011, 0.0, 0.0],
            mass=0.002,
            rgba=arm.rgba,
            contype=0,
            conaffinity=0,
        )


def _wheels(spec: Any, body: Body) -> Any:
    cart = spec.worldbody.add_body(name="cart", gravcomp=1.0)
    for name, kind, axis in (
        ("cart/x", mujoco.mjtJoint.mjJNT_SLIDE, (1.0, 0.0, 0.0)),
        ("cart/y", mujoco.mjtJoint.mjJNT_SLIDE, (0.0, 1.0, 0.0)),
        ("cart/yaw", mujoco.mjtJoint.mjJNT_HINGE, (0.0, 0.0, 1.0)),
    ):
        cart.add_joint(name=name, type=kind, axis=axis)
        item = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        item.gaintype, item.biastype = mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtBias.mjBIAS_AFFINE
        item.gainprm = [600.0] + [0.0] * 9
        item.biasprm = [0.0, 0.0, -600.0] + [0.0] * 7
        item.forcelimited, item.forcerange = True, [-150.0, 150.0]
    cart.add_geom(
        name="cart/box",
        type=_CYLINDER,
        size=[0.18, 0.10, 0.0],
        pos=[0.0, 0.0, 0.12],
        mass=15.0,
        rgba=[0.3, 0.32, 0.36, 1.0],
        contype=2,
        conaffinity=WORLD_BIT,
    )
    return cart
