"""Who acts on the desk: five bodies as data. The geometry is our own, of primitive shapes.

The tool point lies between the pads, its z axis
points out of the gripper and its y axis is the direction in which the gripper closes. The one thing to watch: arm6
closes with a negative gripper action, and runs at half the rate of arm7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from embodia.core.names import unknown
from embodia.core.specs import Polarity
from embodia.envs.desk.scenes import Rgba, Vector

X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
LEASH_M = 0.03
"""How far the commanded tool point may run ahead of the tool when something blocks it."""


@dataclass(frozen=True, kw_only=True)
class Joint:
    """A joint at `offset_m` in the frame of the link before; the link is a capsule from there to `reach_m`.

    It turns (rad, Nm), or slides (m, N) where `slides` is set; then, or with a radius of 0, the link is not drawn.
    """

    offset_m: Vector
    axis: Vector
    low: float
    high: float
    reach_m: Vector = (0.0, 0.0, 0.0)
    radius_m: float = 0.045
    mass_kg: float = 1.0
    stiffness: float = 2000.0
    damping: float = 130.0
    limit: float = 60.0
    slides: bool = False


@dataclass(frozen=True, kw_only=True)
class Gripper:
    """Two pads that slide towards each other; `opening_m` is the clear width when open, `force_n` the most one pad
    pushes. `pad_m` are half sizes: along x, along the closing direction, along z. `human` draws four fingers and a
    thumb over the pads."""

    opening_m: float = 0.08
    pad_m: Vector = (0.011, 0.006, 0.028)
    palm_m: Vector = (0.022, 0.05, 0.022)
    reach_m: float = 0.10
    stiffness: float = 600.0
    damping: float = 12.0
    force_n: float = 25.0
    friction: float = 2.0
    rgba: Rgba = (0.16, 0.16, 0.18, 1.0)
    human: bool = False


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A chain of joints with a gripper, mounted at `base_m` on the table or on a moving base.

    `home` are the joint angles at which an episode starts; `low_m` and `high_m` bound the commanded tool point in the
    frame of the mount. `hangs` mounts the gripper pointing down at zero angles, not up.
    """

    joints: tuple[Joint, ...]
    home: tuple[float, ...]
    gripper: Gripper
    base_m: Vector
    low_m: Vector
    high_m: Vector
    rgba: Rgba = (0.85, 0.85, 0.87, 1.0)
    hangs: bool = False


@dataclass(frozen=True, kw_only=True)
class Body:
    """One or two arms, perhaps on wheels, with a control rate and a gripper polarity.

    Scales say what a normalised action of 1 is in one control step: `step_m`, `turn_rad` about the vertical,
    `joint_rad`; `tilt_rad` is the absolute tilt of 1. An episode lasts `horizon_s`. `recorded` False: there are only
    videos of this body, without proprioception and actions.
    """

    name: str
    arms: tuple[Arm, ...]
    rate_hz: float
    polarity: Polarity
    step_m: float
    turn_rad: float
    joint_rad: float
    tilt_rad: float = 2.0
    wheels: bool = False
    drive_m_s: float = 0.6
    spin_rad_s: float = 1.5
    recorded: bool = True
    horizon_s: float = 12.0


def body(name: str) -> Body:
    """The body of that name. Raises `UnknownNameError`."""
    if name not in BODIES:
        raise unknown("body", name, BODIES)
    return BODIES[name]


def _chain7() -> tuple[Joint, ...]:
    big, wide = 2.8, 2.9
    return (
        Joint(offset_m=(0.0, 0.0, 0.12), axis=Z, low=-wide, high=wide, reach_m=(0.0, 0.0, 0.18), mass_kg=2.0),
        Joint(offset_m=(0.0, 0.0, 0.18), axis=Y, low=-2.0, high=2.0, reach_m=(0.0, 0.0, 0.2), mass_kg=1.5),
        Joint(offset_m=(0.0, 0.0, 0.2), axis=Z, low=-big, high=big, reach_m=(0.0, 0.0, 0.2)),
        Joint(offset_m=(0.0, 0.0, 0.2), axis=Y, low=0.1, high=2.7, reach_m=(0.0, 0.0, 0.2)),
        Joint(offset_m=(0.0, 0.0, 0.2), axis=Z, low=-big, high=big, reach_m=(0.0, 0.0, 0.19), mass_kg=0.7),
        Joint(offset_m=(0.0, 0.0, 0.19), axis=Y, low=-2.4, high=2.4, reach_m=(0.0, 0.0, 0.05), mass_kg=0.5),
        Joint(offset_m=(0, 0, 0.05), axis=Z, low=-wide, high=wide, reach_m=(0, 0, 0.02), radius_m=0.04, mass_kg=0.3),
    )


def _chain6() -> tuple[Joint, ...]:
    wide = 2.9
    return (
        Joint(offset_m=(0, 0, 0.1), axis=Z, low=-wide, high=wide, reach_m=(0, 0, 0.14), radius_m=0.05, mass_kg=2.0),
        Joint(offset_m=(0.0, 0.0, 0.14), axis=Y, low=-1.6, high=2.0, reach_m=(0.0, 0.0, 0.36), radius_m=0.04),
        Joint(offset_m=(0.0, 0.0, 0.36), axis=Y, low=0.1, high=2.8, reach_m=(0.0, 0.0, 0.12), radius_m=0.04),
        Joint(offset_m=(0, 0, 0.12), axis=Z, low=-wide, high=wide, reach_m=(0, 0, 0.22), radius_m=0.033, mass_kg=0.7),
        Joint(offset_m=(0, 0, 0.22), axis=Y, low=-2.3, high=2.3, reach_m=(0, 0, 0.05), radius_m=0.036, mass_kg=0.5),
        Joint(offset_m=(0, 0, 0.05), axis=Z, low=-wide, high=wide, reach_m=(0, 0, 0.02), radius_m=0.033, mass_kg=0.3),
    )


def _float() -> tuple[Joint, ...]:
    def slide(offset: Vector, axis: Vector, low: float, high: float) -> Joint:
        return Joint(
            offset_m=offset,
            axis=axis,
            low=low,
            high=high,
            mass_kg=0.15,
            stiffness=4000.0,
            damping=140.0,
            limit=80.0,
            slides=True,
            radius_m=0.0,
        )

    def turn(axis: Vector, high: float) -> Joint:
        return Joint(
            offset_m=(0.0, 0.0, 0.0),
            axis=axis,
            low=-high,
            high=high,
            mass_kg=0.1,
            stiffness=200.0,
            damping=10.0,
            limit=10.0,
            radius_m=0.0,
        )

    return (
        slide((0.0, 0.0, 0.11), X, -0.5, 0.6),
        slide((0.0, 0.0, 0.0), Y, -0.6, 0.6),
        slide((0.0, 0.0, 0.0), Z, 0.0, 0.7),
        turn(Z, 2.9),
        turn(Y, 2.2),
    )


def _arm7(base_m: Vector) -> Arm:
    floor = 0.016 - base_m[2]
    return Arm(
        joints=_chain7(),
        home=(0.0, 0.4401, 0.0, 1.9021, 0.0, 0.7994, 0.0),
        gripper=Gripper(),
        base_m=base_m,
        low_m=(0.22, -0.42, floor),
        high_m=(0.82, 0.42, 0.5),
    )


def _arm6(base_m: Vector, low_m: Vector, high_m: Vector) -> Arm:
    return Arm(
        joints=_chain6(),
        home=(0.0, 0.3975, 1.7732, 0.0, 0.971, 0.0),
        gripper=Gripper(
            opening_m=0.10,
            pad_m=(0.014, 0.007, 0.035),
            palm_m=(0.025, 0.06, 0.018),
            reach_m=0.11,
            stiffness=450.0,
            rgba=(0.9, 0.45, 0.1, 1.0),
        ),
        base_m=base_m,
        low_m=low_m,
        high_m=high_m,
        rgba=(0.25, 0.27, 0.32, 1.0),
    )


def _hand() -> Arm:
    skin = (0.87, 0.68, 0.55, 1.0)
    return Arm(
        joints=_float(),
        home=(-0.05, 0.0, 0.22, 0.0, 0.0),
        gripper=Gripper(
            opening_m=0.09,
            pad_m=(0.022, 0.007, 0.032),
            palm_m=(0.042, 0.05, 0.014),
            reach_m=0.11,
            rgba=skin,
            human=True,
        ),
        base_m=(0.0, 0.0, 0.0),
        low_m=(-0.3, -0.42, 0.016),
        high_m=(0.35, 0.42, 0.5),
        rgba=skin,
        hangs=True,
    )


def _six(name: str, arms: tuple[Arm, ...], horizon_s: float) -> Body:
    return Body(
        name=name,
        arms=arms,
        rate_hz=10.0,
        polarity="positive_opens",
        step_m=0.03,
        turn_rad=0.2,
        joint_rad=0.12,
        horizon_s=horizon_s,
    )


BODIES: Mapping[str, Body] = MappingProxyType(
    {
        "arm7": Body(
            name="arm7",
            arms=(_arm7((-0.5, 0.0, 0.0)),),
            rate_hz=20.0,
            polarity="positive_closes",
            step_m=0.02,
            turn_rad=0.12,
            joint_rad=0.08,
        ),
        "arm6": _six("arm6", (_arm6((-0.46, 0.0, 0.0), (0.2, -0.42, 0.016), (0.74, 0.42, 0.45)),), 12.0),
        "bimanual": _six(
            "bimanual",
            (
                _arm6((-0.42, 0.26, 0.0), (0.2, -0.5, 0.016), (0.72, 0.22, 0.45)),
                _arm6((-0.42, -0.26, 0.0), (0.2, -0.22, 0.016), (0.72, 0.5, 0.45)),
            ),
            16.0,
        ),
        "mobile": Body(
            name="mobile",
            arms=(_arm7((0.05, 0.0, 0.22)),),
            rate_hz=20.0,
            polarity="positive_closes",
            step_m=0.02,
            turn_rad=0.12,
            joint_rad=0.08,
            wheels=True,
        ),
        "hand": Body(
            name="hand",
            arms=(_hand(),),
            rate_hz=20.0,
            polarity="positive_closes",
            step_m=0.02,
            turn_rad=0.12,
            joint_rad=0.02,
            recorded=False,
        ),
    }
)
